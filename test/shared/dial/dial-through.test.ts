import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as fc from 'fast-check'
import type { HostPort } from '#shared/dc'
import { PROBE_INTERVAL_MS } from '#shared/dial/address-health'
import { STAGGER_MS } from '#shared/dial/dial'
import { dialThrough, UPSTREAM_STAGGER_MS } from '#shared/dial/dial-through'
import { formatAttempt, planAttempts, type Attempt, type Route } from '#shared/dial/route'
import { DialError } from '#shared/errors'
import { monotonicMs } from '#shared/monotonic'
import { createCountedRoute, createHealth, createRoute, DIRECT, socks5 } from '../../support/routes.ts'

const [A, B] = [
  { host: '10.0.0.1', port: 443 },
  { host: '::1', port: 443 },
] as const
const signal = new AbortController().signal

/** A dial in which some ways to some addresses never answer, and the others do at once. */
function dial(
  route: Route,
  addresses: readonly HostPort[],
  options: { silent: (attempt: Attempt) => boolean; health?: ReturnType<typeof createHealth> },
): { opened: string[]; discarded: string[]; result: ReturnType<typeof dialThrough<string>> } {
  const opened: string[] = []
  const discarded: string[] = []
  const result = dialThrough<string>({
    route,
    addresses,
    timeoutMs: 2 * UPSTREAM_STAGGER_MS,
    signal,
    health: options.health ?? null,
    open: (address, upstream, own) => {
      const attempt = { ...address, upstream }
      opened.push(formatAttempt(attempt))
      if (!options.silent(attempt)) return Promise.resolve(formatAttempt(attempt))
      return new Promise((_, reject) => own.addEventListener('abort', () => reject(new Error('cancelled'))))
    },
    discard: (late) => discarded.push(late),
  })
  return { opened, discarded, result }
}

test('every way to every address comes once, and neighbours differ in both where there are two of each', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }), (ways, count) => {
      const route = createRoute(Array.from({ length: ways }, (_, at) => socks5(1000 + at)))
      const addresses = Array.from({ length: count }, (_, at) => ({ host: `10.0.0.${at}`, port: 443 }))
      const attempts = planAttempts(route, addresses, 0)
      assert.equal(new Set(attempts.map(formatAttempt)).size, ways * count)
      assert.equal(attempts[0]?.host, '10.0.0.0', 'the preferred address first')
      const [first, second] = attempts
      if (ways > 1) assert.notEqual(first?.upstream, second?.upstream)
      if (count > 1) assert.notEqual(first?.host, second?.host)
    }),
  )
})

test('a plan has an end', () => {
  const route = createRoute(Array.from({ length: 10 }, (_, at) => socks5(1000 + at)))
  assert.equal(
    planAttempts(
      route,
      Array.from({ length: 10 }, () => A),
      0,
    ).length,
    16,
  )
})

test('a way that is silent where another one answers is told to its breaker', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { route, registry } = createCountedRoute([socks5(1), DIRECT])
  const health = createHealth()
  const { opened, result } = dial(route, [A], { health, silent: ({ upstream }) => upstream === route[0] })
  await nextTurn()
  t.mock.timers.tick(UPSTREAM_STAGGER_MS - 1)
  await nextTurn()
  assert.deepEqual(opened, ['10.0.0.1:443 through 127.0.0.1:1'])
  t.mock.timers.tick(1)
  assert.equal((await result).address.upstream, route[1])
  const [proxy, direct] = registry.list(monotonicMs())
  assert.deepEqual([proxy?.failures, proxy?.failedDials, direct?.failedDials], [1, 1, 0])
  assert.equal(health.isDoubtful('10.0.0.1:443 through 127.0.0.1:1'), false, 'the address answers')
})

test('the direct way, which has no breaker, is in doubt where it was silent and a proxy answered', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { route } = createCountedRoute([DIRECT, socks5(1)])
  const health = createHealth()
  const silent = ({ upstream }: Attempt): boolean => upstream === route[0]
  const { result } = dial(route, [A], { health, silent })
  await nextTurn()
  t.mock.timers.tick(STAGGER_MS)
  await result
  assert.equal(health.isDoubtful('10.0.0.1:443'), true)
  assert.equal(health.isDoubtful('10.0.0.1:443 through 127.0.0.1:1'), false)
  // Whose turn it is: nobody waits for it a second time.
  for (let turn = 0; turn < 4; turn++) {
    const { opened, result: next } = dial(route, [A], { health, silent })
    await next
    assert.deepEqual(opened, ['10.0.0.1:443 through 127.0.0.1:1'])
  }
})

test('an address that is silent where another one answers by the same way is in doubt, the way is not', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { route, registry } = createCountedRoute([socks5(1)])
  const health = createHealth()
  const { result } = dial(route, [A, B], { health, silent: ({ host }) => host === A.host })
  await nextTurn()
  t.mock.timers.tick(UPSTREAM_STAGGER_MS)
  await result
  assert.equal(registry.list(monotonicMs())[0]?.failures, 0)
  assert.equal(health.isDoubtful('10.0.0.1:443 through 127.0.0.1:1'), true)
  assert.equal(health.isDoubtful('10.0.0.1:443'), false, 'by another way it may answer')
  const { opened, result: next } = dial(route, [A, B], { health, silent: () => false })
  await next
  assert.deepEqual(opened, ['[::1]:443 through 127.0.0.1:1'])
})

test('a doubtful address is probed beside a dial, once in a while, and trusted when it answers', async () => {
  const route = createRoute()
  const health = createHealth()
  health.reportFailure('10.0.0.1:443', monotonicMs() - PROBE_INTERVAL_MS)
  const probing = dial(route, [A, B], { health, silent: () => false })
  assert.equal((await probing.result).connection, '[::1]:443', 'nobody waits for the probe')
  await nextTurn()
  assert.deepEqual(probing.opened, ['10.0.0.1:443', '[::1]:443'])
  assert.deepEqual(probing.discarded, ['10.0.0.1:443'])
  assert.equal((await dial(route, [A, B], { health, silent: () => false }).result).connection, '10.0.0.1:443')

  health.reportFailure('10.0.0.1:443', monotonicMs() - PROBE_INTERVAL_MS)
  const fails = ({ host }: HostPort): boolean => host === A.host
  await dial(route, [A, B], { health, silent: fails }).result
  const quiet = dial(route, [A, B], { health, silent: fails })
  await quiet.result
  assert.deepEqual(quiet.opened, ['[::1]:443'], 'not again at once')
})

test('our own want of descriptors is told to nobody', async () => {
  const { route, registry } = createCountedRoute([socks5(1, { openThreshold: 1 }), DIRECT])
  const health = createHealth()
  const none = Object.assign(new Error('connect EMFILE 10.0.0.1:443 - Local'), { code: 'EMFILE' })
  const result = dialThrough<string>({
    route,
    addresses: [A],
    timeoutMs: 1000,
    signal,
    health,
    open: () => Promise.reject(none),
    discard: () => assert.fail('nothing was opened'),
  })
  await assert.rejects(result, { code: 'no-descriptors' })
  for (const { failures, failedDials } of registry.list(monotonicMs()))
    assert.deepEqual([failures, failedDials], [0, 0])
  for (const way of ['10.0.0.1:443', '10.0.0.1:443 through 127.0.0.1:1'])
    assert.equal(health.isDoubtful(way), false)
})

test('when all breakers are open nothing is tried and the error says why', async () => {
  const route = createRoute([socks5(1, { openThreshold: 1 }), socks5(2, { openThreshold: 1 })])
  for (const { state } of route) state.breaker?.tryEnter(monotonicMs())?.fail(monotonicMs())
  const { opened, result } = dial(route, [A], { silent: () => false })
  await assert.rejects(result, (error) => {
    assert.ok(error instanceof DialError && error.code === 'upstream')
    assert.match(error.message, /10\.0\.0\.1:443 through 127\.0\.0\.1:\d: .*failed too often/)
    return true
  })
  assert.deepEqual(opened, [])
})
