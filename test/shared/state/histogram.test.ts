import assert from 'node:assert/strict'
import { test } from 'node:test'

import { BugError } from '#shared/errors'
import {
  createHistogramMemory,
  histogram,
  HistogramRow,
  HistogramSums,
  HISTOGRAMS,
  listHistogramSeries,
} from '#shared/state/histogram'

import { TestThread } from './run-thread.ts'

const OK = histogram('dc_dial_seconds', { outcome: 'ok' })
const TIMEOUT = histogram('dc_dial_seconds', { outcome: 'timeout' })

test('what is observed falls into the bucket whose bound it does not exceed, and into no other series', () => {
  const memory = createHistogramMemory(1)
  const row = new HistogramRow(memory, 0)
  const sums = new HistogramSums(memory)
  for (const seconds of [0, 0.005, 0.0051, 10, 10.001, 3600]) row.observe(OK, seconds)
  const { counts, sumSeconds } = sums.read(OK)
  assert.deepEqual(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2])
  assert.equal(sumSeconds, 3620.0111)
  assert.ok(sums.read(TIMEOUT).counts.every((count) => count === 0))
  row.observe(OK, -1) // a clock that was set back
  assert.equal(sums.read(OK).sumSeconds, 3620.0111)
  assert.equal(sums.read(OK).counts[0], 3)
})

test('every series of the table has cells of its own', () => {
  const memory = createHistogramMemory(0)
  const row = new HistogramRow(memory, 0)
  const sums = new HistogramSums(memory)
  const all = HISTOGRAMS.flatMap(({ name }) => listHistogramSeries(name))
  for (const series of all) {
    row.observe(series, 0)
    row.observe(series, 1e6)
  }
  for (const series of all) {
    const { counts, sumSeconds } = sums.read(series)
    assert.deepEqual([counts[0], counts.at(-1), sumSeconds], [1, 1, 1e6])
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      2,
    )
  }
})

test('bounds rise, and names end with their unit', () => {
  for (const { name, buckets } of HISTOGRAMS) {
    assert.match(name, /_seconds$/)
    assert.deepEqual(
      buckets,
      [...buckets].sort((a, b) => a - b),
    )
  }
})

test('rows of several threads are summed, and outlive them', async () => {
  const memory = createHistogramMemory(2)
  const sums = new HistogramSums(memory)
  const observe = async (thread: number): Promise<void> => {
    const worker = new TestThread('./histogram-thread.ts', { memory, row: thread, turns: 5000 })
    await worker.message()
    await worker.exit()
  }
  await Promise.all([observe(0), observe(1)])
  await observe(1)
  const { counts, sumSeconds } = sums.read(OK)
  assert.deepEqual([counts[5], sumSeconds], [15_000, 3000])
})

test('a series or a row that does not exist is a bug', () => {
  const memory = createHistogramMemory(2)
  const refused = [
    () => histogram('dc_dial_seconds'),
    () => histogram('dc_dial_seconds', { outcome: 'fine' }),
    () => histogram('dc_dial_seconds', { outcome: 'ok', more: 'x' }),
    () => new HistogramRow(memory, 3),
    () => new HistogramRow(memory, -1),
  ]
  for (const call of refused) assert.throws(call, BugError)
})
