import type { Farewells } from '#shared/farewells'
import { slot } from '#shared/state/layout'
import { TICK_MS } from './clock.ts'
import type { Connections } from './connections.ts'
import { LoopMeter } from './loop-meter.ts'
import type { Thread } from './thread.ts'

const CIPHER_STREAMS = {
  node: slot('cipher_streams', { cipher: 'node' }),
  native: slot('cipher_streams', { cipher: 'native' }),
} as const

/** Deadlines are counted in seconds: every fourth tick looks at them. */
const TICKS_PER_SWEEP = 4

/** What a thread does four times a second for all its connections: its clock, its numbers, their deadlines. */
export class Housekeeping {
  readonly #thread: Thread
  readonly #connections: Connections
  readonly #farewells: Farewells
  readonly #loopMeter: LoopMeter
  #ticks: number
  #timer: NodeJS.Timeout | null

  constructor(thread: Thread, connections: Connections, farewells: Farewells) {
    this.#thread = thread
    this.#connections = connections
    this.#farewells = farewells
    this.#loopMeter = new LoopMeter(thread.counters)
    this.#ticks = 0
    this.#timer = null
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#loopMeter.stop()
  }

  #tick(): void {
    const { clock, counters, users, ciphers, publicValues } = this.#thread
    clock.tick()
    this.#loopMeter.tick()
    counters.set(CIPHER_STREAMS[ciphers.name], ciphers.openStreams)
    counters.publish()
    users.publish()
    this.#farewells.sweep(clock.monotonicMs)
    this.#connections.checkHellos()
    publicValues.tick()
    this.#ticks += 1
    if (this.#ticks % TICKS_PER_SWEEP !== 0) return
    this.#connections.checkDeadlines(this.#isPressed())
  }

  /** Half of the places for unfinished handshakes are taken: who has had time enough makes room for those who come. */
  #isPressed(): boolean {
    const { handshakes, config } = this.#thread
    const { maxHandshakes } = config.defense
    return maxHandshakes > 0 && 2 * handshakes.total > maxHandshakes
  }
}
