// hot: called once per read of every relayed connection that is decrypted and encrypted
import { fitRecordPayload, RECORD_HEADER_BYTES, RecordType, writeRecordHeader } from '../fake-tls/record.ts'
import type { CtrStream } from '../obfuscated2/ctr-stream.ts'

/** What goes through both ciphers at a time, so that the second one finds it in the processor's nearest cache. */
const PIECE_BYTES = 16 * 1024

/** From one side's stream to the other's. */
export interface Recrypting {
  readonly from: CtrStream
  readonly to: CtrStream
}

/** Decrypt and encrypt `input` into `target` from `at` on; both may be the same bytes. What is left in `input` is of no use. */
export function recrypt({ from, to }: Recrypting, input: Buffer, target: Buffer, at: number): void {
  const end = input.length
  for (let start = 0; start < end; start += PIECE_BYTES) {
    const piece = end <= PIECE_BYTES ? input : input.subarray(start, Math.min(end, start + PIECE_BYTES))
    from.transform(piece, piece, 0)
    to.transform(piece, target, at + start)
  }
}

/** As `frameRecords` of the same bytes, decrypted and encrypted on the way. */
export function recryptIntoRecords(streams: Recrypting, payload: Buffer, target: Buffer): number {
  const { from, to } = streams
  const end = payload.length
  let start = 0
  let at = 0
  while (start < end) {
    const n = fitRecordPayload(end - start)
    const piece = n === end ? payload : payload.subarray(start, start + n)
    writeRecordHeader(target, at, RecordType.ApplicationData, n)
    at += RECORD_HEADER_BYTES
    from.transform(piece, piece, 0)
    to.transform(piece, target, at)
    at += n
    start += n
  }
  return at
}
