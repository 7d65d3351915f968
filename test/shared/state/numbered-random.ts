/** Fill 32 bytes that stand for hello number `number` of a family: all different, and nothing like random. */
export function numberedRandom(into: Uint8Array, family: number, number: number): Uint8Array {
  new DataView(into.buffer, into.byteOffset, 32).setUint32(0, family, true)
  new DataView(into.buffer, into.byteOffset, 32).setUint32(28, number, true)
  return into
}
