// hot: the composition of the protocol layers, one function per direction and mode
import type { CounterRow } from '#shared/state/counters'
import type { UserAccount } from '#shared/state/user-account'
import type { Clock } from '../clock.ts'
import type { Pacer } from '../doppelganger/pacer.ts'
import type { RecordDecoder } from '../fake-tls/record-decoder.ts'
import { framedBytes, frameRecords } from '../fake-tls/record.ts'
import type { ByteSocket } from '../socket/byte-socket.ts'
import type { WriteSlots } from '../socket/write-slots.ts'
import type { Convey } from './pump.ts'
import { recrypt, type Recrypting } from './recrypt.ts'

/** What the thread counts for one connection; plain numbers, published by the thread's tick. */
export interface Tally {
  /** Payload from the client, bytes. */
  up: number
  /** Payload to the client, bytes. */
  down: number
  /** Clock time of the last chunk in either direction. */
  lastActiveMs: number
}

/** Where the bytes of a session are added up. */
export interface SessionMeters {
  readonly tally: Tally
  readonly account: UserAccount
  readonly counters: CounterRow
  readonly upSlot: number
  readonly downSlot: number
  readonly clock: Clock
}

/** client → DC: unframe · decrypt · encrypt. `onEnd` is called when the client's record stream has ended. */
export function conveyUp(
  decoder: RecordDecoder,
  streams: Recrypting,
  slots: WriteSlots,
  meters: SessionMeters,
  onEnd: () => void,
): Convey {
  return (chunk, dc) => {
    const bytes = decoder.decode(chunk)
    const ok = bytes === 0 || sendUp(chunk.subarray(0, bytes), dc, streams, slots, meters)
    if (decoder.end !== null) onEnd()
    return ok
  }
}

/** What `conveyUp` does behind the record layer; also for what came in while the data centre was dialled. Changes `payload`. */
export function sendUp(
  payload: Buffer,
  dc: ByteSocket,
  streams: Recrypting,
  slots: WriteSlots,
  { tally, account, counters, upSlot, clock }: SessionMeters,
): boolean {
  const bytes = payload.length
  tally.up += bytes
  tally.lastActiveMs = clock.monotonicMs
  account.bytesIn += bytes
  if ((account.prepaid -= bytes) < 0) account.payMore()
  account.lastSeenMs = clock.unixMs
  counters.add(upSlot, bytes)
  const slot = slots.take(bytes)
  recrypt(streams, payload, slot)
  return dc.writeSlot(slot, bytes, 0)
}

/**
 * DC → client: [decrypt · encrypt] · frame · [pace]. In fast mode the data centre has encrypted with the client's own
 * stream already (decision W8), and `streams` is null. Without a pacer, and once it lets go, each chunk is one write.
 */
export function conveyDown(
  streams: Recrypting | null,
  slots: WriteSlots,
  meters: SessionMeters,
  pacer: Pacer | null,
): Convey {
  const { tally, account, clock, counters, downSlot } = meters
  return (chunk, client) => {
    const bytes = chunk.length
    tally.down += bytes
    tally.lastActiveMs = clock.monotonicMs
    account.bytesOut += bytes
    if ((account.prepaid -= bytes) < 0) account.payMore()
    account.lastSeenMs = clock.unixMs
    counters.add(downSlot, bytes)
    if (streams !== null) recrypt(streams, chunk, chunk)
    if (pacer !== null && !pacer.isFree()) return pacer.push(chunk)
    const slot = slots.take(framedBytes(bytes))
    return client.writeSlot(slot, frameRecords(slot, chunk), bytes)
  }
}

/** Bytes as they are, for the fronting site. */
export function conveyRaw(
  tally: Tally,
  way: 'up' | 'down',
  counters: CounterRow,
  slot: number,
  clock: Clock,
): Convey {
  return (chunk, to) => {
    tally[way] += chunk.length
    tally.lastActiveMs = clock.monotonicMs
    counters.add(slot, chunk.length)
    return to.writeCopy(chunk)
  }
}
