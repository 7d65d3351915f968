import type { Socket } from 'node:net'
import type { NetworkConfig } from '#shared/config'
import type { NativeOption, NativeOptions } from './native-options.ts'

/** Phones pay for every probe with battery: clients are never asked sooner, whatever is configured (wire.md §11.4). */
const MIN_CLIENT_IDLE_MS = 30_000
/** What Linux takes: MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL in seconds, MAX_TCP_KEEPCNT. */
const MAX_KEEP_ALIVE_MS = 32_767_000
const MAX_PROBES = 127
/** The system calls take whole seconds, and none is refused. */
const MIN_KEEP_ALIVE_MS = 1000
/** Fills a long way without filling the queues on it; where the kernel has it. */
export const CONGESTION_CONTROL = 'bbr'

/** What the kernel is told about a socket, once: when a client was accepted, when a connection of ours is open. */
export class SocketOptions {
  readonly #native: NativeOptions | null
  readonly #works: ReadonlySet<NativeOption>
  readonly #isEnabled: boolean
  readonly #idleMs: number
  readonly #clientIdleMs: number
  readonly #intervalMs: number
  readonly #probes: number
  readonly #userTimeoutMs: number
  readonly #lowatBytes: number

  /** @param works what this platform does not do is not tried */
  constructor(
    { keepAlive, tcpNotSentLowatBytes }: Pick<NetworkConfig, 'keepAlive' | 'tcpNotSentLowatBytes'>,
    native: NativeOptions | null,
    works: ReadonlySet<NativeOption>,
  ) {
    this.#native = native
    this.#works = works
    this.#isEnabled = keepAlive.enabled
    this.#idleMs = clampMs(keepAlive.idleMs)
    this.#clientIdleMs = Math.max(MIN_CLIENT_IDLE_MS, this.#idleMs)
    this.#intervalMs = clampMs(keepAlive.intervalMs)
    this.#probes = Math.min(keepAlive.count, MAX_PROBES)
    // What the probes would find out takes this long; the same for data that is not acknowledged.
    this.#userTimeoutMs = Math.min(this.#idleMs + this.#intervalMs * this.#probes, 2 ** 31 - 1)
    this.#lowatBytes = tcpNotSentLowatBytes
  }

  applyToClient(socket: Socket): void {
    if (this.#isEnabled) socket.setKeepAlive(true, this.#clientIdleMs, this.#intervalMs, this.#probes)
    this.#setNumber(socket, 'TCP_NOTSENT_LOWAT', this.#lowatBytes)
  }

  /** For a connection that we have opened; before it is open there is no descriptor. */
  applyToServer(socket: Socket): void {
    if (this.#isEnabled) {
      socket.setKeepAlive(true, this.#idleMs, this.#intervalMs, this.#probes)
      this.#setNumber(socket, 'TCP_USER_TIMEOUT', this.#userTimeoutMs)
    }
    this.#setNumber(socket, 'TCP_NOTSENT_LOWAT', this.#lowatBytes)
    if (this.#works.has('TCP_CONGESTION')) this.#native?.setText(socket, 'TCP_CONGESTION', CONGESTION_CONTROL)
  }

  #setNumber(socket: Socket, option: NativeOption, value: number): void {
    if (this.#works.has(option)) this.#native?.setNumber(socket, option, value)
  }
}

function clampMs(ms: number): number {
  return Math.min(Math.max(ms, MIN_KEEP_ALIVE_MS), MAX_KEEP_ALIVE_MS)
}
