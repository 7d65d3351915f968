/** Whether what a bench printed can be: its last line is JSON with figures, numbers that are finite and not all zero. */

/** Returns what is wrong, or null. */
export function findInsane(output: string): string | null {
  const line = output.trimEnd().split('\n').at(-1) ?? ''
  let printed: unknown
  try {
    printed = JSON.parse(line)
  } catch {
    return `the last line is not JSON: ${line.slice(0, 200)}`
  }
  const figures = collectFigures(printed)
  if (figures.length === 0) return 'no figures'
  for (const [name, value] of figures) {
    if (value === null) return `${name} could not be measured`
  }
  if (!figures.some(([, value]) => value !== null && value > 0)) return 'all figures are zero'
  return null
}

/** Numbers, and what JSON makes of NaN and infinity, everywhere below keys called `figures`. */
function collectFigures(value: unknown, name = '', isFigure = false): [string, number | null][] {
  if (isFigure && (typeof value === 'number' || value === null)) return [[name, value]]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    collectFigures(inner, name === '' ? key : `${name}.${key}`, isFigure || key === 'figures'),
  )
}
