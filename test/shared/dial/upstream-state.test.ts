import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UpstreamProxy } from '#shared/config'
import { buildRoute } from '#shared/dial/route'
import { MAX_UPSTREAMS, UpstreamRegistry } from '#shared/dial/upstream-state'
import { BugError, OperatorError } from '#shared/errors'
import { DIRECT, socks5 } from '../../support/routes.ts'

function set(registry: UpstreamRegistry, proxies: readonly UpstreamProxy[], own: UpstreamProxy[] = []): void {
  // Of the network only the proxies are looked at.
  registry.setConfig({ network: { proxies } as never, dcRoutes: own.length === 0 ? {} : { 203: own } })
}

test('a way keeps its slot and its numbers over changes, a new one begins at zero', () => {
  const registry = new UpstreamRegistry()
  set(registry, [socks5(1), socks5(2)])
  const [first] = buildRoute([socks5(1)], registry.memory, registry.slots)
  first.state.countDial()
  first.state.breaker?.tryEnter(1)?.fail(1)
  set(registry, [socks5(3), socks5(1, { openThreshold: 9 })])
  assert.deepEqual(
    registry.list(1).map(({ upstream, dials, failures }) => [upstream, dials, failures]),
    [
      ['127.0.0.1:3', 0, 0],
      ['127.0.0.1:1', 1, 1],
    ],
  )
  set(registry, [])
  set(registry, [socks5(1)])
  assert.equal(registry.list(1)[0]?.dials, 0)
})

test('ways of several lists are one way when they are the same, and accounts are told apart without their names', () => {
  const registry = new UpstreamRegistry()
  const anna = socks5(1, { username: 'anna', password: 'hunter2' })
  set(registry, [socks5(1), anna], [anna, DIRECT])
  const names = registry.list(0).map(({ upstream }) => upstream)
  assert.deepEqual(names, ['127.0.0.1:1', '127.0.0.1:1#2', 'direct'])
  assert.deepEqual(new Set(registry.slots.values()).size, 3)
})

test('too many ways are refused, and nothing has changed then', () => {
  const registry = new UpstreamRegistry()
  const many = (count: number): UpstreamProxy[] => Array.from({ length: count }, (_, at) => socks5(at + 1))
  set(registry, many(MAX_UPSTREAMS - 1))
  assert.throws(() => set(registry, many(MAX_UPSTREAMS)), OperatorError)
  assert.equal(registry.list(0).length, MAX_UPSTREAMS - 1)
  for (let round = 0; round < 200; round++) set(registry, [socks5(round + 1)])
  assert.equal(registry.slots.size, 2)
})

test('a way that the primary did not announce is a bug', () => {
  const registry = new UpstreamRegistry()
  set(registry, [])
  assert.throws(() => buildRoute([socks5(1)], registry.memory, registry.slots), BugError)
})
