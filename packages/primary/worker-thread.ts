import type { Socket } from 'node:net'
import type { MessagePort } from 'node:worker_threads'
import type { Remote } from 'comlink'
import type { HandOff } from '#shared/hand-off'
import type { CounterSums } from '#shared/state/counters'
import type { ReloadValues, WorkerControl } from '#shared/worker-control'
import { moveSocket } from './move-socket.ts'
import { Pulse } from './pulse.ts'

/** Two seconds: eight times what a thread takes to tell that it lives, and still below what makes a client give up. */
const FALTERING_TICKS = 8

/** One place in the pool; the thread in it may be replaced. */
export class WorkerThread {
  readonly index: number
  readonly #sums: CounterSums
  readonly #pulse: Pulse
  #port: MessagePort | null
  #control: Remote<WorkerControl> | null
  #handedOver: number
  #restarts: number
  #hangs: number
  #isServing: boolean
  readonly #firstServing: PromiseWithResolvers<void>
  /** Settles when the thread that is there now is gone. */
  #gone: PromiseWithResolvers<void>

  constructor(index: number, sums: CounterSums) {
    this.index = index
    this.#sums = sums
    this.#pulse = new Pulse(() => sums.beats(index))
    this.#port = null
    this.#control = null
    this.#handedOver = 0
    this.#restarts = 0
    this.#hangs = 0
    this.#isServing = false
    this.#firstServing = Promise.withResolvers()
    this.#gone = Promise.withResolvers()
  }

  /** Connections it holds, those on their way included. */
  get load(): number {
    // Of a dead thread the closed count stands until it is forgotten: the difference would be below zero.
    if (this.#port === null) return 0
    return this.#handedOver - this.#sums.closed(this.index) + this.#sums.accepted(this.index)
  }

  /** How often the thread in this place died and was replaced. */
  get restarts(): number {
    return this.#restarts
  }

  /** How many of those were replaced because they did nothing any more. */
  get hangs(): number {
    return this.#hangs
  }

  /** Sockets that are handed over now wait, if the thread is still loading, or are served. */
  get isAttached(): boolean {
    return this.#port !== null
  }

  get isServing(): boolean {
    return this.#isServing
  }

  /** Whether its event loop turns, or it stands still for so long that new clients are better off elsewhere. */
  get isLively(): boolean {
    return this.#pulse.silentTicks < FALTERING_TICKS
  }

  /** To be called every PULSE_TICK_MS. How many calls in a row have found that the thread did nothing. */
  countSilence(): number {
    return this.#port === null ? 0 : this.#pulse.count()
  }

  /** Resolves when a thread in this place serves, be it the first or one that replaced it. */
  get firstServing(): Promise<void> {
    return this.#firstServing.promise
  }

  get control(): Remote<WorkerControl> | null {
    return this.#control
  }

  get handedOver(): number {
    return this.#handedOver
  }

  /** False when the socket could not be moved; it is closed then. */
  handOff(socket: Socket, known: Omit<HandOff, 'handle'>): boolean {
    if (this.#port === null || !moveSocket(this.#port, socket, known)) return false
    this.#handedOver += 1
    return true
  }

  /** A thread starts. Resolves when it serves; never, if it dies before. */
  async attach(port: MessagePort, control: Remote<WorkerControl>): Promise<void> {
    this.#port = port
    this.#control = control
    this.#gone = Promise.withResolvers()
    this.#pulse.begin()
    await control.ready()
    if (this.#port !== port) return
    this.#isServing = true
    this.#pulse.begin() // how long it loaded says nothing of how lively it is
    this.#firstServing.resolve()
  }

  /** The thread behind this port is gone; what it held is closed. Its successor is not touched. */
  detach(port: MessagePort): void {
    port.close()
    if (this.#port !== port) return
    this.#port = null
    this.#control = null
    this.#handedOver = 0
    this.#isServing = false
    this.#gone.resolve()
  }

  /** The thread died. */
  countRestart(): void {
    this.#restarts += 1
  }

  /** The thread did nothing any more and is being ended. */
  countHang(): void {
    this.#hangs += 1
  }

  /** Resolves when the thread accepts by itself, or is gone: its successor begins so. */
  async listen(): Promise<void> {
    if (this.#control !== null) await Promise.race([this.#control.listen(), this.#gone.promise])
  }

  /** True when the thread answers, false when it is gone. */
  async answers(): Promise<boolean> {
    if (this.#control === null) return false
    return Promise.race([this.#control.ready(), this.#gone.promise.then(() => false)])
  }

  /** Resolves when the thread has the new values, or is gone: its successor begins with them. */
  async reload(values: ReloadValues): Promise<void> {
    if (this.#control !== null) await Promise.race([this.#control.reload(values), this.#gone.promise])
  }
}
