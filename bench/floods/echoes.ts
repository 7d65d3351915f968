import { setTimeout as sleep } from 'node:timers/promises'
import { connectFakeTls, type FakeTlsClient } from '../../test/support/faketls-client.ts'

/** A first MTProto message is about so long. */
const MESSAGE = Buffer.alloc(200, 7)
const PAUSE_MS = 50
const ARRIVAL_EACH_MS = 250
const ARRIVAL_LIMIT_MS = 5000

export interface Target {
  readonly port: number
  readonly secret: string
}

export interface Sample {
  readonly roundTripsMs: readonly number[]
  /** From connect to the first echo, of clients that come meanwhile. */
  readonly arrivalsMs: readonly number[]
  readonly lost: number
}

/** Users who were there before the flood and have messages echoed, and users who come while it lasts. */
export class Echoes {
  readonly #target: Target
  readonly #clients: readonly FakeTlsClient[]

  private constructor(target: Target, clients: readonly FakeTlsClient[]) {
    this.#target = target
    this.#clients = clients
  }

  static async open(target: Target, count: number): Promise<Echoes> {
    const clients: FakeTlsClient[] = []
    for (let n = 0; n < count; n++) {
      const client = await connectFakeTls({ ...target, dc: 2, firstPayload: MESSAGE })
      await client.read(MESSAGE.length)
      clients.push(client)
    }
    return new Echoes(target, clients)
  }

  /** Throws when one of the established connections is lost. */
  async measure(durationMs: number): Promise<Sample> {
    const untilMs = performance.now() + durationMs
    const roundTripsMs: number[] = []
    const arrivalsMs: number[] = []
    let lost = 0
    const talk = async (client: FakeTlsClient): Promise<void> => {
      while (performance.now() < untilMs) {
        const startedMs = performance.now()
        client.write(MESSAGE)
        await client.read(MESSAGE.length)
        roundTripsMs.push(performance.now() - startedMs)
        await sleep(PAUSE_MS)
      }
    }
    const come = async (): Promise<void> => {
      while (performance.now() < untilMs) {
        const startedMs = performance.now()
        try {
          const signal = AbortSignal.timeout(ARRIVAL_LIMIT_MS)
          const client = await connectFakeTls({ ...this.#target, dc: 2, firstPayload: MESSAGE, signal })
          await client.read(MESSAGE.length)
          arrivalsMs.push(performance.now() - startedMs)
          client.destroy()
        } catch {
          lost += 1
        }
        await sleep(ARRIVAL_EACH_MS)
      }
    }
    await Promise.all([come(), ...this.#clients.map(talk)])
    return { roundTripsMs, arrivalsMs, lost }
  }

  close(): void {
    for (const client of this.#clients) client.destroy()
  }
}
