/**
 * What does counting cost: in the thread that relays, four times a second, once a connection, and when somebody asks?
 * Processor time of the thread. Run: node bench/micro/counting.ts [--json] [--quick]
 */
import { CounterRow, CounterSums, createCountersMemory } from '#shared/state/counters'
import { createHistogramMemory, histogram, HistogramRow } from '#shared/state/histogram'
import { slot } from '#shared/state/layout'
import { Clock } from '#worker/clock'
import { IS_QUICK, measureCases, printFigures, repeat } from '../support/micro.ts'

const CALLS = IS_QUICK ? 10 : 10_000
/** Of a thread that serves all kinds of connections. */
const BUSY_SLOTS = 40
const THREADS = 8

const memory = createCountersMemory(THREADS)
const row = new CounterRow(memory, 0)
const sums = new CounterSums(memory)
const histograms = new HistogramRow(createHistogramMemory(THREADS), 0)
const handOff = histogram('hand_off_seconds')
const limited = slot('concurrency_limited')
const clock = new Clock()
let shift = 0

const figures = await measureCases([
  repeat('CounterRow.add: per chunk', CALLS, () => row.add(limited, 1)),
  repeat('CounterRow.publish, nothing changed', CALLS / 10, () => row.publish()),
  repeat(`CounterRow.publish, ${BUSY_SLOTS} changed`, CALLS / 10, () => {
    for (let at = 0; at < BUSY_SLOTS; at++) row.add(at, 1)
    row.publish()
  }),
  repeat('CounterRow.addClosed', CALLS, () => row.addClosed()),
  repeat('HistogramRow.observe: once a connection', CALLS, () => {
    shift = (shift + 1) & 1023
    histograms.observe(handOff, shift / 10_000)
  }),
  repeat('CounterSums.sum of eight threads', CALLS, () => void sums.sum(limited)),
  repeat('Clock.tick', CALLS, () => clock.tick()),
])
printFigures('counting', figures)
