import type { Decoder } from './decoders.ts'

/** A value as a person may see it: texts as they stand in the file, secrets masked; null for nothing at all. */
export type Shown = null | boolean | number | string | readonly Shown[] | { readonly [name: string]: Shown }

/** How a value is written: read from the file, and shown again. */
export interface Format<Read, Value = Read> {
  readonly decode: Decoder<Read>
  readonly show: (value: Value) => Shown
}

/** One key of the file. `Read` is what its decoder gives, `Value` what the configuration holds in the end. */
export interface SchemaRow<Read, Value = Read> extends Format<Read, Value> {
  /** What holds when the key is absent; null for nothing at all. */
  readonly default: Read
  /** Whether a changed value is taken up by a running process (decision C9). */
  readonly reload: 'live' | 'restart'
  readonly help: string
  /** In the reference, `0` and `""` are as good as absent (operator.md §1.1 step 4). Without it they have a meaning. */
  readonly zero?: 'default'
  /** No text of it is ever shown. */
  readonly sensitive?: true
  /** Decoded and checked, but nothing uses it yet: said at start when it is not at its default. */
  readonly pending?: true
  /** Why it never has an effect. */
  readonly unused?: string
  readonly deprecated?: Deprecation
}

export interface Deprecation {
  /** The key to use in its place. */
  readonly instead: string
  /** It is not even honoured: the line which the reference logs for it, word for word (operator.md §5). */
  readonly ignored?: string
}

export type Rows<Values> = { readonly [Key in keyof Values]: SchemaRow<Values[Key]> }
