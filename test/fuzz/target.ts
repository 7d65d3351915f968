import { createHash } from 'node:crypto'
import type * as fc from 'fast-check'

/** What is fuzzed: one parser, or one server, that takes bytes from people we do not know. */
export interface Target {
  readonly name: string
  /** What the property tests draw: the first inputs, and fresh ones now and then. */
  readonly inputs: fc.Arbitrary<Buffer>
  /** Words that mutation alone would hardly come to. */
  readonly dictionary: readonly (string | Buffer)[]
  readonly maxBytes: number
  /** What one input may take, ms; many times what it does take. */
  readonly limitMs: number
  /** Libraries whose blocks are worth reaching as well as ours: folders of node_modules. */
  readonly libraries?: readonly string[]
  open(): Probe | Promise<Probe>
}

export interface Probe {
  /** Feed the target. Throws when it does anything that it must not do. */
  run(input: Buffer): void | Promise<void>
  close(): void | Promise<void>
}

/** A probe that keeps nothing from one input to the next. */
export const stateless = (run: Probe['run']): Probe => ({ run, close: () => {} })

/** Where to cut an input: anywhere, but always at the same places of the same input. */
export function cutsOf(input: Buffer): number[] {
  const digest = createHash('sha1').update(input).digest()
  const count = digest[0]! % 8
  return Array.from({ length: count }, (_, at) => digest.readUInt16BE(2 * at + 1) % (input.length + 1)).sort(
    (a, b) => a - b,
  )
}
