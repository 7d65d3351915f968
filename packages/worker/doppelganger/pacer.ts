// hot: asked once per read of every relayed connection whose downloads are paced
import type { DoppelgangerConfig } from '#shared/config'
import type { DelayModel } from '#shared/traffic-profile'
import { TICK_MS, type Clock } from '../clock.ts'
import {
  fitRecordPayload,
  MAX_OUTBOUND_PAYLOAD_BYTES,
  RECORD_HEADER_BYTES,
  RecordType,
  writeRecordHeader,
} from '../fake-tls/record.ts'
import type { ByteSocket, Holder } from '../socket/byte-socket.ts'
import type { WriteSlots } from '../socket/write-slots.ts'
import { ByteQueue } from './byte-queue.ts'
import { drawDelay } from './delays.ts'
import type { Paced, PaceTimer } from './pace-timer.ts'
import { maxFramedBytes, RecordSizer } from './record-sizer.ts'

/** What "burst" paces after a pause: about what a page needs to begin to show (decision W11). */
export const BURST_BYTES: number = 128 * 1024
/** A pause is a second without a record (decision W11). The clock ticks: it may have been up to a tick less. */
const IDLE_MS = 1000 + TICK_MS
/** With so much waiting the data centre is paused; one read of it (256 KiB) may come on top. */
export const HIGH_WATER_BYTES: number = 64 * 1024
/** It goes on with less than this: 13 ms of sending at the mean rate. */
const LOW_WATER_BYTES = 32 * 1024
/** What leaves in one write when several records are due: they fit into a slot of 66 KiB. */
const BATCH_BYTES = 4 * MAX_OUTBOUND_PAYLOAD_BYTES

/** `paced`: records wait for their time; `sized`: they leave at once, but small ones first; `free`: as the relay cuts them. */
type Phase = 'paced' | 'sized' | 'free'

export interface PacerOptions {
  readonly config: Pick<DoppelgangerConfig, 'pacing' | 'drs'>
  readonly delays: DelayModel
  readonly timer: PaceTimer
  readonly clock: Clock
  readonly slots: WriteSlots
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/**
 * Sends a client its download as the fronting site would: records of its sizes at its pace (decision W11). Record i is
 * due at `max(deadline of i−1, when the queue became non-empty) + D`, so a late timer makes up for it, but neither an
 * empty queue nor a client that does not read earns anything.
 */
export class Pacer implements Paced, Holder {
  readonly #client: ByteSocket
  readonly #pacing: DoppelgangerConfig['pacing']
  readonly #delays: DelayModel
  readonly #timer: PaceTimer
  readonly #clock: Clock
  readonly #slots: WriteSlots
  readonly #random: () => number
  readonly #sizer: RecordSizer
  readonly #queue: ByteQueue
  #phase: Phase
  #deadlineMs: number
  /** Payload sent since the last pause, as far as it was paced. */
  #pacedBytes: number
  /** Time of the thread's clock when something was last written, or came in to be. */
  #lastRecordMs: number
  /** The socket wants no more before it has drained. */
  #isBlocked: boolean
  /** The source was told to wait for the queue. */
  #isFull: boolean
  #isEnding: boolean

  constructor(client: ByteSocket, { config, delays, timer, clock, slots, random }: PacerOptions) {
    this.#client = client
    this.#pacing = config.pacing
    this.#delays = delays
    this.#timer = timer
    this.#clock = clock
    this.#slots = slots
    this.#random = random
    this.#sizer = new RecordSizer(config.drs, random)
    this.#queue = new ByteQueue(slots)
    this.#phase = config.pacing === 'off' ? 'sized' : 'paced'
    this.#deadlineMs = 0
    this.#pacedBytes = 0
    this.#lastRecordMs = clock.monotonicMs
    this.#isBlocked = false
    this.#isFull = false
    this.#isEnding = false
  }

  /** Whether what comes now may be framed and written by the caller; else it is to be pushed. To be asked once per chunk. */
  isFree(): boolean {
    const nowMs = this.#clock.monotonicMs
    if (nowMs - this.#lastRecordMs >= IDLE_MS && this.#queue.length === 0) this.#beginAfterPause()
    this.#lastRecordMs = nowMs
    return this.#phase === 'free'
  }

  /** Send a copy of `payload` when its time comes. False: wait for `drained`. */
  push(payload: Buffer): boolean {
    if (this.#phase !== 'paced') return this.#writeSized(payload)
    if (this.#queue.length === 0) {
      this.#deadlineMs = Math.max(this.#deadlineMs, this.#timer.nowMs())
      this.#delayNext()
    }
    this.#queue.append(payload)
    if (!this.#isBlocked) this.#timer.add(this)
    this.#isFull = this.#queue.length >= HIGH_WATER_BYTES
    return !this.#isFull
  }

  get deadlineMs(): number {
    return this.#deadlineMs
  }

  /** Called by the timer. */
  release(nowMs: number): void {
    do this.#isBlocked = !this.#writeDue(nowMs)
    while (!this.#isBlocked && this.#queue.length > 0 && this.#deadlineMs <= nowMs)
    this.#lastRecordMs = this.#clock.monotonicMs
    if (this.#isBlocked || this.#queue.length === 0) this.#timer.delete(this)
    if (this.#queue.length === 0 && this.#isEnding) this.#client.end()
    this.#tellSource()
  }

  get heldBytes(): number {
    return this.#queue.length
  }

  /** The socket takes bytes again. */
  drained(): void {
    this.#isBlocked = false
    this.#lastRecordMs = this.#clock.monotonicMs // until now the last ones were on their way
    if (this.#queue.length > 0) {
      this.#deadlineMs = Math.max(this.#deadlineMs, this.#timer.nowMs())
      this.#timer.add(this)
    }
    if (!this.#isFull) this.#client.tellDrained()
  }

  endWhenEmpty(): void {
    this.#isEnding = true
  }

  discard(): number {
    this.#timer.delete(this)
    return this.#queue.clear()
  }

  #beginAfterPause(): void {
    this.#sizer.reset()
    this.#pacedBytes = 0
    this.#phase = this.#pacing === 'off' ? 'sized' : 'paced'
  }

  #delayNext(): void {
    this.#deadlineMs += drawDelay(this.#delays, this.#random)
  }

  /** Write the records whose time has come; false when the socket wants no more. */
  #writeDue(nowMs: number): boolean {
    const queue = this.#queue
    const slot = this.#slots.take(maxFramedBytes(Math.min(queue.length, BATCH_BYTES)))
    let at = 0
    let batchBytes = 0
    while (queue.length > 0 && this.#deadlineMs <= nowMs && this.#phase === 'paced') {
      if (batchBytes + MAX_OUTBOUND_PAYLOAD_BYTES > BATCH_BYTES) break // the rest in another write
      const n = fitRecordPayload(queue.length, this.#sizer.next())
      writeRecordHeader(slot, at, RecordType.ApplicationData, n)
      queue.take(n, slot, at + RECORD_HEADER_BYTES)
      at += RECORD_HEADER_BYTES + n
      batchBytes += n
      this.#pacedBytes += n
      if (this.#pacing === 'burst' && this.#pacedBytes >= BURST_BYTES)
        this.#phase = this.#sizer.isPlain ? 'free' : 'sized'
      else if (queue.length > 0) this.#delayNext()
    }
    const ok = this.#client.writeSlot(this.#slots.fit(slot, at), at, batchBytes)
    return this.#phase === 'paced' || queue.length === 0 ? ok : this.#writeRest()
  }

  /** The burst is over: what waited behind it leaves at once. */
  #writeRest(): boolean {
    const rest = this.#slots.take(this.#queue.length)
    const bytes = this.#queue.length
    this.#queue.take(bytes, rest, 0)
    const ok = this.#writeSized(rest.subarray(0, bytes))
    this.#slots.giveBack(rest)
    return ok
  }

  /** Write `payload` now, in records of the sizer's lengths. */
  #writeSized(payload: Buffer): boolean {
    const end = payload.length
    const slot = this.#slots.take(maxFramedBytes(end))
    let at = 0
    for (let from = 0; from < end;) {
      const n = fitRecordPayload(end - from, this.#sizer.next())
      writeRecordHeader(slot, at, RecordType.ApplicationData, n)
      at += RECORD_HEADER_BYTES + payload.copy(slot, at + RECORD_HEADER_BYTES, from, from + n)
      from += n
    }
    if (this.#sizer.isPlain) this.#phase = 'free'
    return this.#client.writeSlot(slot, at, end)
  }

  #tellSource(): void {
    if (!this.#isFull || this.#queue.length >= LOW_WATER_BYTES) return
    this.#isFull = false
    if (!this.#isBlocked) this.#client.tellDrained()
  }
}

/** The pacer of a client's download, or null where nothing is held back and no record made smaller. */
export function createPacer(client: ByteSocket, options: PacerOptions): Pacer | null {
  const { pacing, drs } = options.config
  if (pacing === 'off' && !drs) return null
  const pacer = new Pacer(client, options)
  client.holdBy(pacer)
  return pacer
}
