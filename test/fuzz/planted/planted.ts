/** A defect that chance alone does not find: three bytes one after the other, each behind a branch of its own. */
export function parsePlanted(input: Buffer): void {
  if (input[0] !== 0x7f) return
  if (input[1] !== 0xc8) return
  if (input[2] !== 0x3f) return
  throw new Error('planted')
}
