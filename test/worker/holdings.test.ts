import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CounterRow, CounterSums, createCountersMemory } from '#shared/state/counters'
import { slot } from '#shared/state/layout'
import { Holdings } from '#worker/holdings'
import { NodeCiphers } from '#worker/obfuscated2/node-ciphers'

const GAUGE = slot('client_connections', { ip_family: 'ipv4' })
const OTHER = slot('client_connections', { ip_family: 'ipv6' })

test('what a connection took is given back with its end, and what it takes afterwards at once', () => {
  const memory = createCountersMemory(1)
  const counters = new CounterRow(memory, 0)
  const sums = new CounterSums(memory)
  const read = (): number[] => {
    counters.publish()
    return [sums.sum(GAUGE), sums.sum(OTHER)]
  }
  const ciphers = new NodeCiphers()
  const open = (): ReturnType<NodeCiphers['open']> =>
    ciphers.open({ key: Buffer.alloc(32), iv: Buffer.alloc(16) })
  const holdings = new Holdings(counters)
  let givenBack = 0

  holdings.raise(GAUGE)
  holdings.raise(OTHER)
  holdings.lower(OTHER)
  holdings.lower(OTHER)
  holdings.hold(open())
  holdings.borrow(() => (givenBack += 1))
  assert.deepEqual([read(), ciphers.openStreams, givenBack], [[1, 0], 1, 0])

  holdings.giveBackAll()
  assert.deepEqual([read(), ciphers.openStreams, givenBack], [[0, 0], 0, 1])

  holdings.raise(GAUGE)
  holdings.hold(open())
  holdings.borrow(() => (givenBack += 1))
  assert.deepEqual([read(), ciphers.openStreams, givenBack], [[0, 0], 0, 2])
})
