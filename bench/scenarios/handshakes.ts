import { cpuPerUnit } from '../support/cpu-figures.ts'
import { shakeHands } from '../support/handshake-load.ts'
import { type Figures, format, type Scenario } from '../support/scenario.ts'

/** What does a connection cost, from connect to close: hello, flight, frame, DC dial, one message there and back? */

/** Enough for the code to be compiled for good in each of four threads: every thread compiles for itself. */
const WARM_UP_HANDSHAKES = 8000

export const handshakes: Scenario = {
  name: 'handshakes',
  summary: 'processor time of a connection, with the dial and one message',
  defaults: { connections: 32, count: 5000 },
  quick: { connections: 8, count: 200 },
  cpuFigures: ['cpuMicrosecondsPerHandshake'],
  phases: ['handshakes'],
  async prepare(target, { count, connections }) {
    const each = (): Record<string, never> => ({})
    await shakeHands(target, { count: Math.min(WARM_UP_HANDSHAKES, 2 * count), connections, each })
    return {
      handshakes: (progress) => shakeHands(target, { count, connections, each, progress }),
    }
  },
  compute({ handshakes }) {
    if (handshakes === undefined) return {}
    const { load, rssAfterKib } = handshakes
    const names = {
      total: 'cpuMicrosecondsPerHandshake',
      workers: 'workerMicrosecondsPerHandshake',
      primary: 'primaryMicrosecondsPerHandshake',
    }
    return {
      ...cpuPerUnit(handshakes, names, 1e6),
      handshakesPerSecond: load.units / load.wallSeconds,
      rssMib: rssAfterKib / 1024,
    }
  },
  describe(figures: Figures) {
    const total = format(figures, 'cpuMicrosecondsPerHandshake', 0)
    const worker = format(figures, 'workerMicrosecondsPerHandshake', 0)
    const primary = format(figures, 'primaryMicrosecondsPerHandshake', 0)
    const rate = format(figures, 'handshakesPerSecond', 0)
    return [`${total} µs CPU per handshake (worker ${worker}, primary ${primary}) at ${rate} handshakes/s`]
  },
}
