import assert from 'node:assert/strict'
import { openSync } from 'node:fs'
import { test } from 'node:test'
import { pino } from 'pino'
import { DescriptorProbe } from '#primary/descriptor-probe'
import { CounterRow, CounterSums, createCountersMemory } from '#shared/state/counters'
import { slot } from '#shared/state/layout'

interface Bench {
  probe: DescriptorProbe
  lines: Record<string, unknown>[]
  count: () => number
}

function create(open?: () => number): Bench {
  const memory = createCountersMemory(1)
  const counters = new CounterRow(memory, 1)
  const lines: Record<string, unknown>[] = []
  const log = pino({}, { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) })
  return {
    probe: new DescriptorProbe(counters, log, open),
    lines,
    count: () => {
      counters.publish()
      return new CounterSums(memory).sum(slot('descriptors_exhausted'))
    },
  }
}

test('every check without a descriptor is counted, one line a second says so', () => {
  let code = 'EMFILE'
  const { probe, lines, count } = create(() => {
    if (code !== '') throw Object.assign(new Error('no'), { code })
    return openSync('/dev/null', 'r')
  })
  for (let at = 0; at < 2000; at += 250) probe.check(at)
  assert.equal(count(), 8)
  assert.deepEqual(
    lines.map(({ error, checks }) => [error, checks]),
    [
      ['EMFILE', 1],
      ['EMFILE', 5],
    ],
  )
  assert.match(String(lines[0]?.['msg']), /out of file descriptors/)
  code = ''
  probe.check(3000)
  code = 'ENOENT'
  probe.check(4000)
  assert.equal(count(), 8)
  code = 'ENFILE'
  probe.check(5000)
  assert.equal(count(), 9)
  assert.equal(lines.length, 3)
})

test('with descriptors left nothing is said, and none is kept', () => {
  const { probe, lines, count } = create()
  const before = openSync('/dev/null', 'r')
  for (let at = 0; at < 100; at++) probe.check(at * 1000)
  const after = openSync('/dev/null', 'r')
  assert.equal(after, before + 1)
  assert.deepEqual([lines.length, count()], [0, 0])
})

test('when all but a few are taken it is as if all were, and those few are given back', () => {
  for (const [free, found] of [
    [16, 0],
    [15, 1],
  ] as const) {
    let left: number = free
    const { probe, lines, count } = create(() => {
      if (left === 0) throw Object.assign(new Error('no'), { code: 'EMFILE' })
      left -= 1
      return openSync('/dev/null', 'r')
    })
    const before = openSync('/dev/null', 'r')
    probe.check(0)
    assert.deepEqual([lines.length, count()], [found, found])
    assert.equal(openSync('/dev/null', 'r'), before + 1)
  }
})
