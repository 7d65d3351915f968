// hot: called once per read of every relayed connection that is decrypted and encrypted
import type { CtrStream } from '../obfuscated2/ctr-stream.ts'

/**
 * What goes through both ciphers at a time, so that the second one finds it in the processor's cache, and so that what
 * node:crypto allocates for it (half of this is slower, twice as much no faster) stays below the 128 KiB from which on libc
 * asks the kernel for every single piece.
 */
const PIECE_BYTES = 64 * 1024

/** From one side's stream to the other's. */
export interface Recrypting {
  readonly from: CtrStream
  readonly to: CtrStream
}

/** Decrypt and encrypt `input` into the beginning of `target`, which may be `input` itself; else that is of no use afterwards. */
export function recrypt({ from, to }: Recrypting, input: Buffer, target: Buffer): void {
  const end = input.length
  for (let at = 0; at < end; at += PIECE_BYTES) {
    const piece = end <= PIECE_BYTES ? input : input.subarray(at, Math.min(end, at + PIECE_BYTES))
    from.transform(piece, piece, 0)
    to.transform(piece, target, at)
  }
}
