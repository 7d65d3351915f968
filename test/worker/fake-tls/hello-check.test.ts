import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sharedNowMs } from '#shared/hand-off'
import { createReplayMemory, MIN_REPLAY_BYTES, ReplaySet } from '#shared/state/replay-set'
import { Clock } from '#worker/clock'
import { parseClientHello } from '#worker/fake-tls/client-hello'
import { HelloCheck } from '#worker/fake-tls/hello-check'
import { SearchQueue } from '#worker/fake-tls/search-queue'
import { keyByKey } from '#worker/key-search/key-by-key'
import { buildClientHello } from '../../support/client-hello.ts'

const KEY = Buffer.alloc(16, 7)
const HOST = 'front.test'
const TOLERANCE_MS = 5000
const HOUR_MS = 3_600_000

/** How a hello of this clock's time fares in a process that began so long ago. */
async function check(ageMs: number): Promise<string> {
  const hello = parseClientHello(
    buildClientHello({ key: KEY, host: HOST, unixTime: Math.floor(Date.now() / 1000) }).bytes,
  )
  assert.ok(hello.ok)
  const checks = new HelloCheck({
    users: [{ name: 'alice', slot: 0, generation: 0, secrets: [{ key: KEY, host: HOST }] }],
    toleranceMs: TOLERANCE_MS,
    replay: new ReplaySet(createReplayMemory(MIN_REPLAY_BYTES), 0),
    startedAtMs: sharedNowMs() - ageMs,
    clock: new Clock(),
    searches: new SearchQueue(),
    search: keyByKey,
  })
  const found = await checks.findKey(hello.hello, { userHints: [], source: '192.0.2.1' }, () => null)
  return found.ok ? 'ok' : found.code
}

test('a clock set back by an hour does not make everybody older than the process', async (t) => {
  assert.equal(await check(60_000), 'ok')
  const systemNow = Date.now
  t.after(() => (Date.now = systemNow))
  Date.now = () => systemNow() - HOUR_MS
  assert.equal(await check(60_000), 'ok')
  // Within the window after the start nobody can tell such a hello from a replay.
  assert.equal(await check(1000), 'before-start')
})
