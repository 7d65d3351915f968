// hot: the composition of the protocol layers, one function per direction and mode
import type { CounterRow } from '#shared/state/counters'
import type { UserAccount } from '#shared/state/user-rows'
import type { Clock } from '../clock.ts'
import type { Pacer } from '../doppelganger/pacer.ts'
import type { RecordDecoder } from '../fake-tls/record-decoder.ts'
import { framedBytes, frameRecords } from '../fake-tls/record.ts'
import type { CtrStream } from '../obfuscated2/ciphers.ts'
import type { WriteSlots } from '../socket/write-slots.ts'
import type { Convey } from './pump.ts'

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
  streams: UpStreams,
  meters: SessionMeters,
  onEnd: () => void,
): Convey {
  return (chunk, dc) => {
    const bytes = decoder.decode(chunk)
    const ok = bytes === 0 || dc.write(recryptUp(chunk.subarray(0, bytes), streams, meters))
    if (decoder.end !== null) onEnd()
    return ok
  }
}

export interface UpStreams {
  readonly fromClient: CtrStream
  readonly toDc: CtrStream
}

/** What `conveyUp` does behind the record layer; also for what came in while the data centre was dialled. */
export function recryptUp(payload: Buffer, streams: UpStreams, meters: SessionMeters): Buffer {
  const { tally, account, clock } = meters
  tally.up += payload.length
  tally.lastActiveMs = clock.monotonicMs
  account.bytesIn += payload.length
  if ((account.prepaid -= payload.length) < 0) account.payMore()
  account.lastSeenMs = clock.unixMs
  meters.counters.add(meters.upSlot, payload.length)
  return streams.toDc.update(streams.fromClient.update(payload))
}

export interface DownStreams {
  readonly fromDc: CtrStream
  readonly toClient: CtrStream
}

/**
 * DC → client: [decrypt · encrypt] · frame · [pace]. In fast mode the data centre has encrypted with the client's own
 * stream already (decision W8), and `streams` is null. Without a pacer, and once it lets go, each chunk is one write.
 */
export function conveyDown(
  streams: DownStreams | null,
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
    const payload = streams === null ? chunk : streams.toClient.update(streams.fromDc.update(chunk))
    if (pacer !== null && !pacer.isFree()) return pacer.push(payload)
    const slot = slots.take(framedBytes(bytes))
    return client.writeSlot(slot, frameRecords(slot, payload), bytes)
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
