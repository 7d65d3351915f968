import { setTimeout as sleep } from 'node:timers/promises'

import { cpuPerUnit } from '../support/cpu-figures.ts'
import { EchoClient, type Way } from '../support/echo-client.ts'
import { openLine, openStraight } from '../support/line.ts'
import { format, type LoadReport, type ReportProgress, type Scenario } from '../support/scenario.ts'
import { PACED_ROUND_TRIPS, passPause } from '../support/pass-pause.ts'
import { quantile } from '../support/statistics.ts'

/**
 * What does a message of 200 bytes cost, and how much later does it come? First as fast as they go, for the processor
 * time; then at low load, in turns through the proxy and straight to the data centre, for the time.
 */

/** At low load: so many clients, one message each in so many milliseconds. */
const PACED_CLIENTS = 4
const PACED_EACH_MS = 5
/** Of the way through the proxy and of the other one, in turn. */
const SLICE_MS = 250

export const pingPong: Scenario = {
  name: 'ping-pong',
  summary: 'processor time and delay of messages of 200 bytes, there and back',
  defaults: { connections: 32, count: 100_000, seconds: 8 },
  quick: { connections: 4, count: 200, seconds: 1 },
  cpuFigures: ['cpuMicrosecondsPerMessage'],
  phases: ['loaded', 'paced'],
  async prepare(target, { connections, count, seconds }) {
    const open = (many: number, way: Way): Promise<EchoClient[]> =>
      Promise.all(Array.from({ length: many }, () => EchoClient.open(target, way)))
    const warmUp = Math.min(PACED_ROUND_TRIPS, count)
    const busy = await open(connections, openLine)
    const through = await open(PACED_CLIENTS, openLine)
    const straight = await open(PACED_CLIENTS, openStraight)
    await passPause(busy, warmUp)
    return {
      loaded: (progress) => exchange(busy, Math.ceil(count / connections), progress),
      async paced(progress) {
        // They have been silent for long: what this takes is the delay behind a pause.
        const pausedMs = await passPause(through, warmUp)
        const startedAt = performance.now()
        const throughMs: number[] = []
        const straightMs: number[] = []
        const slices = Math.max(2, Math.ceil((seconds * 1000) / SLICE_MS))
        for (let slice = 0; slice < slices; slice++) {
          const isThrough = slice % 2 === 0
          await talkSlowly(isThrough ? through : straight, isThrough ? throughMs : straightMs)
          progress((slice + 1) / slices)
        }
        return {
          units: throughMs.length,
          wallSeconds: (performance.now() - startedAt) / 1000,
          values: {
            ...describeMs('paused', pausedMs),
            ...describeMs('paced', throughMs),
            ...describeMs('straight', straightMs),
          },
        }
      },
    }
  },
  compute({ loaded, paced }) {
    if (loaded === undefined || paced === undefined) return {}
    const { load } = loaded
    const values = { ...load.values, ...paced.load.values }
    return {
      // A round trip is two relayed messages.
      ...cpuPerUnit(
        loaded,
        { total: 'cpuMicrosecondsPerMessage', workers: 'workerMicrosecondsPerMessage' },
        5e5,
      ),
      roundTripsPerSecond: load.units / load.wallSeconds,
      ...values,
      addedP50Microseconds:
        (values['pacedP50Microseconds'] ?? Number.NaN) - (values['straightP50Microseconds'] ?? Number.NaN),
    }
  },
  describe(figures) {
    const times = (name: string): string =>
      ['P50', 'P99', 'P999'].map((share) => format(figures, `${name}${share}Microseconds`, 0)).join(' / ')
    return [
      `${format(figures, 'cpuMicrosecondsPerMessage', 1)} µs CPU per relayed message ` +
        `(workers ${format(figures, 'workerMicrosecondsPerMessage', 1)}) at ` +
        `${format(figures, 'roundTripsPerSecond', 0)} round trips/s, which take ${times('loaded')} µs (p50 / p99 / p99.9)`,
      `the first ${PACED_ROUND_TRIPS} behind a pause take ${times('paused')} µs`,
      `at low load a round trip takes ${times('paced')} µs, without a proxy ${times('straight')} µs: ` +
        `the proxy adds ${format(figures, 'addedP50Microseconds', 0)} µs (p50)`,
    ]
  },
}

/** Every client sends its next message when the last one is back. */
async function exchange(
  clients: readonly EchoClient[],
  countEach: number,
  progress: ReportProgress,
): Promise<LoadReport> {
  const startedAt = performance.now()
  const timesMs: number[] = []
  const talk = async (client: EchoClient): Promise<void> => {
    for (let trip = 0; trip < countEach; trip++) {
      timesMs.push(await client.roundTrip())
      progress(timesMs.length / (countEach * clients.length))
    }
  }
  await Promise.all(clients.map(talk))
  const wallSeconds = (performance.now() - startedAt) / 1000
  return { units: timesMs.length, wallSeconds, values: describeMs('loaded', timesMs) }
}

async function talkSlowly(clients: readonly EchoClient[], timesMs: number[]): Promise<void> {
  const endMs = performance.now() + SLICE_MS
  const talk = async (client: EchoClient, at: number): Promise<void> => {
    await sleep((PACED_EACH_MS / clients.length) * at)
    while (performance.now() < endMs) {
      timesMs.push(await client.roundTrip())
      await sleep(PACED_EACH_MS)
    }
  }
  await Promise.all(clients.map(talk))
}

function describeMs(name: string, timesMs: readonly number[]): Record<string, number> {
  return {
    [`${name}P50Microseconds`]: quantile(timesMs, 0.5) * 1000,
    [`${name}P99Microseconds`]: quantile(timesMs, 0.99) * 1000,
    [`${name}P999Microseconds`]: quantile(timesMs, 0.999) * 1000,
  }
}
