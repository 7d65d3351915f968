/** What the tasks that compile IP lists are given and give back. */

/** A list file or download as it came. */
export interface IpListText {
  readonly text: Uint8Array
}

/**
 * The networks of one source, each once, in ascending order. In shared memory, so that it travels for nothing; only the
 * tasks look inside (worker/ip-lists/networks.ts).
 */
export interface NetworkSet {
  readonly v4: SharedArrayBuffer
  readonly v6: SharedArrayBuffer
}

/** A line that is no network. */
export interface BadLine {
  /** 1-based. */
  readonly line: number
  /** What stands there, printable and cut. */
  readonly text: string
}

/** What a source says. */
export interface CompiledSource {
  readonly networks: NetworkSet
  readonly networkCount: number
  readonly badLineCount: number
  /** The first few of them. */
  readonly badLines: readonly BadLine[]
}

/** Several sources as one list. */
export interface MergedList {
  /** For `IpRanges`. */
  readonly ranges: SharedArrayBuffer
  /** Distinct networks of all sources together, which is what `iplist_size` tells. */
  readonly networkCount: number
  /** What is left of them when those that overlap or touch have become one. */
  readonly rangeCount: number
}
