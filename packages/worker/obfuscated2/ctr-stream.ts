// hot: once or twice per 16 KiB of everything that is relayed
import type { CipherName } from '#shared/config'
import { BugError } from '#shared/errors'

/** Key and start of one direction. */
export interface CtrKey {
  readonly key: Buffer
  readonly iv: Buffer
}

/** One direction of AES-256-CTR: the same operation encrypts and decrypts. */
export interface CtrStream {
  /**
   * Write `input`, transformed, into `target` from `at` on. Both may be the very same bytes, but may not overlap otherwise.
   * @throws BugError when it does not fit, or the stream is closed
   */
  transform(input: Buffer, target: Buffer, at: number): void
  /** Let go of the key. Calling it twice is fine. */
  close(): void
}

/** A way to do AES-256-CTR, for one thread. */
export interface Ciphers {
  readonly name: CipherName
  /** Opened and not closed. */
  readonly openStreams: number
  open(key: CtrKey): CtrStream
  /** Let go of what is still open, if nobody else would; the thread ends. */
  closeAll(): void
}

/**
 * What `transform` may be asked for. Behind it lies a call into C that believes any length: this is what keeps it inside
 * of the memory that it was given.
 * @throws BugError
 */
export function checkTransform(input: Buffer, target: Buffer, at: number): void {
  const end = at + input.length
  // Not a number, negative, broken or too far: all of them fail one of these.
  if (at >>> 0 !== at || !(end <= target.length)) {
    throw new BugError(`a cipher was to write ${input.length} bytes at ${at} of ${target.length}`)
  }
  if (input.buffer !== target.buffer) return
  const shift = target.byteOffset + at - input.byteOffset
  if (shift !== 0 && Math.abs(shift) < input.length) {
    throw new BugError(`a cipher was to write over what it has yet to read, ${shift} bytes further`)
  }
}
