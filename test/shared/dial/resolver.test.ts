import assert from 'node:assert/strict'
import dns from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'
import { type TestContext, test } from 'node:test'
import { Resolver } from '#shared/dial/resolver'
import { DialError } from '#shared/errors'

type Lookup = (host: string) => Promise<{ address: string; family: number }[]>

/** Puts `answer` in the place of the system's resolver until the test ends; returns the names it was asked for. */
function fakeLookup(t: TestContext, answer: Lookup): string[] {
  const asked: string[] = []
  const { mock } = t.mock.method(dns, 'lookup', (host: string) => {
    asked.push(host)
    return answer(host)
  })
  syncBuiltinESMExports()
  t.after(() => {
    mock.restore()
    syncBuiltinESMExports()
  })
  return asked
}

/** The cache's clock; it looks at it again once the millisecond is over. */
function fakeNow(t: TestContext): { pass: (ms: number) => Promise<void> } {
  let nowMs = performance.now()
  t.mock.method(performance, 'now', () => nowMs)
  return {
    pass: async (ms) => {
      nowMs += ms
      await new Promise((resolve) => setTimeout(resolve, 5))
    },
  }
}

test('an address is its own answer and nobody is asked', async (t) => {
  const asked = fakeLookup(t, () => Promise.resolve([]))
  const resolver = new Resolver()
  assert.deepEqual(await resolver.resolve('192.0.2.7'), ['192.0.2.7'])
  assert.deepEqual(await resolver.resolve('2001:db8::1'), ['2001:db8::1'])
  assert.deepEqual(asked, [])
})

test('localhost is resolved by the system', async () => {
  const addresses = await new Resolver().resolve('localhost')
  assert.ok(addresses.includes('127.0.0.1') || addresses.includes('::1'), addresses.join())
})

test('addresses come in the system’s order; one question serves all who ask at once and for a minute', async (t) => {
  const asked = fakeLookup(t, () =>
    Promise.resolve([
      { address: '2001:db8::1', family: 6 },
      { address: '192.0.2.7', family: 4 },
    ]),
  )
  const { pass } = fakeNow(t)
  const resolver = new Resolver()
  const answers = await Promise.all(Array.from({ length: 50 }, () => resolver.resolve('a.example')))
  for (const answer of answers) assert.deepEqual(answer, ['2001:db8::1', '192.0.2.7'])
  await pass(59_000)
  await resolver.resolve('a.example')
  assert.deepEqual(asked, ['a.example'])
  await resolver.resolve('b.example')
  assert.deepEqual(asked, ['a.example', 'b.example'])
  await pass(2_000)
  await resolver.resolve('a.example')
  assert.deepEqual(asked, ['a.example', 'b.example', 'a.example'])
})

test('a name that cannot be resolved is an error with code and cause, remembered for seconds only', async (t) => {
  const cause = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
  const asked = fakeLookup(t, () => Promise.reject(cause))
  const { pass } = fakeNow(t)
  const resolver = new Resolver()
  const failures = await Promise.allSettled(
    Array.from({ length: 20 }, () => resolver.resolve('nowhere.example')),
  )
  for (const failure of failures) {
    assert.ok(failure.status === 'rejected' && failure.reason instanceof DialError)
    assert.equal(failure.reason.code, 'unresolved')
    assert.equal(failure.reason.cause, cause)
    assert.match(failure.reason.message, /nowhere\.example/)
  }
  await pass(4_000)
  await assert.rejects(resolver.resolve('nowhere.example'), { code: 'unresolved' })
  assert.equal(asked.length, 1)
  await pass(2_000)
  await assert.rejects(resolver.resolve('nowhere.example'), { code: 'unresolved' })
  assert.equal(asked.length, 2)
})

test('names asked for are forgotten in the end, however many there are', async (t) => {
  const asked = fakeLookup(t, () => Promise.resolve([{ address: '192.0.2.7', family: 4 }]))
  const resolver = new Resolver()
  for (let i = 0; i < 2100; i++) await resolver.resolve(`host-${i}.example`)
  await resolver.resolve('host-2099.example')
  assert.equal(asked.length, 2100)
  await resolver.resolve('host-0.example')
  assert.equal(asked.length, 2101)
})
