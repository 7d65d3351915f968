import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { HostPort } from '#shared/dc'
import { dialFirst, STAGGER_MS, type Dialled } from '#shared/dial/dial'
import { DialError } from '#shared/errors'

const at = (host: string): HostPort => ({ host, port: 443 })
const ADDRESSES = [at('10.0.0.1'), at('10.0.0.2'), at('::1')]
const [A, B, C] = ['10.0.0.1', '10.0.0.2', '::1'] as const
const TIMEOUT_MS = 5000

interface Attempt {
  answer: (connection?: string) => void
  fail: (error: unknown) => void
  signal: AbortSignal
}

interface Dial {
  attempts: Map<string, Attempt>
  /** Hosts in the order they were tried. */
  started: () => string[]
  failures: string[]
  discarded: string[]
  client: AbortController
  result: Promise<Dialled<string>>
  /** Let time pass, and everything that follows from it happen. */
  pass: (ms: number) => Promise<void>
}

/** A dial whose attempts are answered by hand and whose time passes by hand. */
async function startDial(t: TestContext, addresses: readonly HostPort[] = ADDRESSES): Promise<Dial> {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const attempts = new Map<string, Attempt>()
  const failures: string[] = []
  const discarded: string[] = []
  const client = new AbortController()
  const result = dialFirst<string>({
    addresses,
    timeoutMs: TIMEOUT_MS,
    signal: client.signal,
    connect: ({ host }, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      signal.addEventListener('abort', () => reject(new Error('cancelled')))
      attempts.set(host, { answer: (connection = host) => resolve(connection), fail: reject, signal })
      return promise
    },
    discard: (connection) => discarded.push(connection),
    onFailure: ({ host }, error) => failures.push(`${host} ${error.code}`),
  })
  result.catch(() => {}) // looked at later
  await nextTurn()
  const pass = async (ms: number): Promise<void> => {
    t.mock.timers.tick(ms)
    await nextTurn()
  }
  return { attempts, started: () => [...attempts.keys()], failures, discarded, client, result, pass }
}

const systemError = (code: string): Error => Object.assign(new Error(`connect ${code}`), { code })

test('the first address that answers wins, and no other is bothered', async (t) => {
  const { attempts, started, failures, result, pass } = await startDial(t)
  await pass(STAGGER_MS - 1)
  assert.deepEqual(started(), [A])
  attempts.get(A)?.answer()
  assert.deepEqual(await result, { connection: A, address: ADDRESSES[0] })
  await pass(60_000)
  assert.deepEqual(started(), [A])
  assert.deepEqual(failures, [])
})

test('an address that is silent for 250 ms is joined by the next one; when that answers, the silent one is told and cancelled', async (t) => {
  const { attempts, started, failures, discarded, result, pass } = await startDial(t)
  await pass(STAGGER_MS)
  assert.deepEqual(started(), [A, B])
  await pass(100)
  attempts.get(B)?.answer()
  assert.deepEqual((await result).address, ADDRESSES[1])
  assert.deepEqual(failures, [`${A} timeout`])
  assert.equal(attempts.get(A)?.signal.aborted, true)
  await pass(60_000)
  assert.deepEqual(started(), [A, B])
  assert.deepEqual(discarded, [])
})

test('a silent address that answers after all, before the later ones, wins without a stain', async (t) => {
  const { attempts, failures, result, pass } = await startDial(t)
  await pass(STAGGER_MS)
  await pass(STAGGER_MS)
  attempts.get(A)?.answer()
  assert.equal((await result).address.host, A)
  assert.deepEqual(failures, [], 'nothing is known against the later ones')
  assert.equal(attempts.get(B)?.signal.aborted, true)
  assert.equal(attempts.get(C)?.signal.aborted, true)
})

test('an address that had no time to answer is not reported as silent', async (t) => {
  const { attempts, started, failures, result, pass } = await startDial(t)
  await pass(STAGGER_MS)
  assert.deepEqual(started(), [A, B])
  await pass(1)
  attempts.get(A)?.fail(systemError('ECONNREFUSED'))
  await nextTurn()
  assert.deepEqual(started(), [A, B, C])
  await pass(1)
  attempts.get(C)?.answer()
  await result
  assert.deepEqual(failures, [`${A} refused`], `${B} had 2 ms`)
})

test('a failure starts the next address at once', async (t) => {
  const { attempts, started, failures, result } = await startDial(t)
  attempts.get(A)?.fail(systemError('ECONNREFUSED'))
  await nextTurn()
  assert.deepEqual(started(), [A, B])
  attempts.get(B)?.fail(systemError('ENETUNREACH'))
  await nextTurn()
  attempts.get(C)?.answer()
  assert.equal((await result).address.host, C)
  assert.deepEqual(failures, [`${A} refused`, `${B} unreachable`])
})

test('the next address gets its whole 250 ms after a failure', async (t) => {
  const { attempts, started, pass } = await startDial(t)
  await pass(STAGGER_MS - 10)
  attempts.get(A)?.fail(systemError('ECONNREFUSED'))
  await nextTurn()
  await pass(STAGGER_MS - 1)
  assert.deepEqual(started(), [A, B])
  await pass(1)
  assert.deepEqual(started(), [A, B, C])
})

test('a second answer is discarded', async (t) => {
  const { attempts, discarded, result, pass } = await startDial(t)
  await pass(STAGGER_MS)
  // Both have answered before either could be cancelled.
  attempts.get(A)?.answer('from A')
  attempts.get(B)?.answer('from B')
  assert.equal((await result).connection, 'from A')
  await nextTurn()
  assert.deepEqual(discarded, ['from B'])
})

test('when all fail the last failure is the answer, with its cause', async (t) => {
  const { attempts, failures, result } = await startDial(t)
  const last = systemError('EHOSTUNREACH')
  for (const [host, error] of [
    [A, systemError('ECONNREFUSED')],
    [B, new Error('odd')],
    [C, last],
  ] as const) {
    attempts.get(host)?.fail(error)
    await nextTurn()
  }
  await assert.rejects(result, (error) => {
    assert.ok(error instanceof DialError)
    assert.equal(error.code, 'unreachable')
    assert.equal(error.cause, last)
    assert.match(error.message, /^\[::1\]:443: /)
    return true
  })
  assert.deepEqual(failures, [`${A} refused`, `${B} failed`, `${C} unreachable`])
})

test('the last address failing does not end a dial that still waits for an earlier one', async (t) => {
  const { attempts, result, pass } = await startDial(t, ADDRESSES.slice(0, 2))
  await pass(STAGGER_MS)
  attempts.get(B)?.fail(systemError('ECONNREFUSED'))
  await nextTurn()
  attempts.get(A)?.answer()
  assert.equal((await result).address.host, A)
})

test('system errors have codes of ours', async (t) => {
  for (const [system, code] of [
    ['ECONNREFUSED', 'refused'],
    ['EHOSTUNREACH', 'unreachable'],
    ['ENETUNREACH', 'unreachable'],
    ['EADDRNOTAVAIL', 'unreachable'],
    ['ETIMEDOUT', 'timeout'],
    ['ENOTFOUND', 'unresolved'],
    ['EAI_AGAIN', 'unresolved'],
    ['EMFILE', 'no-descriptors'],
    ['ENFILE', 'no-descriptors'],
    ['EPERM', 'failed'],
  ] as const) {
    const { attempts, result } = await startDial(t, ADDRESSES.slice(0, 1))
    attempts.get(A)?.fail(systemError(system))
    await assert.rejects(result, { code })
    t.mock.timers.reset()
  }
})

test('each address has its own time limit', async (t) => {
  const { attempts, failures, result, pass } = await startDial(t, ADDRESSES.slice(0, 2))
  await pass(STAGGER_MS)
  await pass(TIMEOUT_MS - STAGGER_MS - 1)
  assert.deepEqual(failures, [])
  await pass(1)
  assert.deepEqual(failures, [`${A} timeout`])
  assert.equal(attempts.get(A)?.signal.aborted, true)
  assert.equal(attempts.get(B)?.signal.aborted, false)
  await pass(STAGGER_MS)
  await assert.rejects(result, { code: 'timeout', message: `${B}:443: timed out after 5000 ms` })
})

test('a client that leaves cancels every attempt', async (t) => {
  const { attempts, started, failures, client, result, pass } = await startDial(t)
  await pass(STAGGER_MS)
  client.abort()
  await assert.rejects(result, { name: 'DialError', code: 'aborted' })
  assert.deepEqual(
    [...attempts.values()].map(({ signal }) => signal.aborted),
    [true, true],
  )
  await pass(60_000)
  assert.deepEqual(started(), [A, B], 'nothing is started afterwards')
  assert.deepEqual(failures, [], 'nothing is known against addresses that were given up')
})

test('a connection that opens while the client leaves is discarded', async (t) => {
  const { attempts, discarded, client, result } = await startDial(t)
  attempts.get(A)?.answer('late')
  client.abort()
  await assert.rejects(result, { code: 'aborted' })
  await nextTurn()
  assert.deepEqual(discarded, ['late'])
})

test('a dial that is over leaves nothing with its client', async (t) => {
  const won = await startDial(t)
  assert.equal(getEventListeners(won.client.signal, 'abort').length, 1)
  won.attempts.get(A)!.answer()
  await won.result
  assert.equal(getEventListeners(won.client.signal, 'abort').length, 0)
  t.mock.timers.reset()
  const lost = await startDial(t, [at(A)])
  lost.attempts.get(A)!.fail(new Error('no'))
  await assert.rejects(lost.result)
  assert.equal(getEventListeners(lost.client.signal, 'abort').length, 0)
})

test('without addresses, or for a client that has left, nothing is dialled', async () => {
  const common = { timeoutMs: TIMEOUT_MS, connect: () => assert.fail('dialled'), discard: () => {} }
  const { signal } = new AbortController()
  await assert.rejects(dialFirst({ ...common, addresses: [], signal }), { code: 'no-addresses' })
  await assert.rejects(dialFirst({ ...common, addresses: ADDRESSES, signal: AbortSignal.abort() }), {
    code: 'aborted',
  })
})
