/** Bytes are counted from the start of the thread. */
export interface Moved {
  bytesIn: number
  bytesOut: number
  /** Unix time of the last activity, 0 for never. */
  lastSeenMs: number
}

/**
 * What a user has moved through one thread. The relay adds to it directly. It is read while the user has connections
 * in this thread: whoever adds must do so before `UserRows.leave`, and take the same off `prepaid`.
 */
export interface UserAccount extends Moved {
  /** Bytes of the quota that the thread has taken and not seen moved yet; Infinity without a quota. */
  prepaid: number
  /** To be called when `prepaid` has fallen below 0: take more, or see the end of the quota. */
  readonly payMore: () => void
}
