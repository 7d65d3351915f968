import { connectFakeTls } from '../test/support/faketls-client.ts'
import { format } from './support/bench.ts'
import type { Bench, LoadTarget } from './support/bench.ts'

/** What does a handshake cost: hello, flight, frame, DC dial, one message there and back, close. */

/** Enough for the code to be compiled for good. */
const WARM_UP_HANDSHAKES = 2000
/** A first MTProto message is about so long. */
const MESSAGE_BYTES = 200
/** Only a stalled proxy takes so long. */
const STALL_TIMEOUT_MS = 20_000

export const handshakes: Bench = {
  name: 'handshakes',
  dcArguments: () => ['--mode', 'echo'],
  async prepare(target, options) {
    await shakeHands(target, WARM_UP_HANDSHAKES, options.connections, () => {})
    return async (progress) => {
      const startedAt = performance.now()
      await shakeHands(target, options.count, options.connections, progress)
      return { units: options.count, wallSeconds: (performance.now() - startedAt) / 1000 }
    }
  },
  compute: ({ cpu, load }) => ({
    handshakesPerSecond: load.units / load.wallSeconds,
    cpuMicrosecondsPerHandshake: (cpu.total / load.units) * 1e6,
    workerMicrosecondsPerHandshake: (cpu.workers / load.units) * 1e6,
    primaryMicrosecondsPerHandshake: (cpu.primary / load.units) * 1e6,
  }),
  describe(figures) {
    const total = format(figures, 'cpuMicrosecondsPerHandshake', 0)
    const worker = format(figures, 'workerMicrosecondsPerHandshake', 0)
    const primary = format(figures, 'primaryMicrosecondsPerHandshake', 0)
    const rate = format(figures, 'handshakesPerSecond', 0)
    return `${total} µs CPU per handshake (worker ${worker}, primary ${primary}) at ${rate} handshakes/s`
  },
}

async function shakeHands(
  target: LoadTarget,
  count: number,
  concurrency: number,
  progress: (share: number) => void,
): Promise<void> {
  let started = 0
  const message = Buffer.alloc(MESSAGE_BYTES, 0x2a)
  const lane = async (): Promise<void> => {
    while (started < count) {
      started += 1
      const client = await connectFakeTls({
        ...target,
        dc: 2,
        firstPayload: message,
        signal: AbortSignal.timeout(STALL_TIMEOUT_MS),
      })
      const answer = await client.read(MESSAGE_BYTES)
      if (!answer.equals(message)) throw new Error('the echo differs')
      client.destroy()
      progress(started / count)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, lane))
}
