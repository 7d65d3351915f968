/** The order of the texts' UTF-8 bytes, which is that of code points and not that of JavaScript's UTF-16 units. */
export function compareBytewise(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const unitA = a.charCodeAt(at)
    const unitB = b.charCodeAt(at)
    if (unitA !== unitB) return rankUnit(unitA) - rankUnit(unitB)
  }
  return a.length - b.length
}

/** Surrogates stand for code points above all others. */
function rankUnit(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
