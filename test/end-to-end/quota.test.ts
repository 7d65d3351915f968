import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { QuotaConfig, RefuseAction, UserConfig } from '#shared/config'
import { parseSecret } from '#shared/secret'
import { MAX_SLICE_BYTES } from '#shared/state/prepaid'
import { DC_READ_BYTES } from '#worker/socket/read-buffers'
import { connectFakeTls, FakeTlsError, type FakeTlsClient } from '../support/faketls-client.ts'
import { startRecordingSite } from '../support/front-site.ts'
import type { ConfigOverrides, TestProxy } from '../support/proxy.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { buildRequest, MIB, readPattern, writePattern } from './transfer.ts'
import { makeSecret, readMetric, startProxyIn, waitMetric, waitUntil } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

const timeout = 30_000
const WORKERS = 2
const SECRETS = { anna: makeSecret(1), boris: makeSecret(2) }
/** Data centres by what they do. */
const SOURCE = 2
const SINK = 4

/** Both users, the first one with a quota. */
function usersWith(
  quota: number | null,
  period: QuotaConfig['period'] = 'month',
  overLimit: RefuseAction = 'close',
): UserConfig[] {
  return Object.entries(SECRETS).map(([name, text]) => {
    const parsed = parseSecret(text)
    assert.ok(parsed.ok)
    const own = name === 'anna' && quota !== null ? { limitBytes: quota, period } : null
    return { name, secrets: [parsed.secret], quota: own, overLimit }
  })
}

async function start(t: TestContext, config: ConfigOverrides): Promise<TestProxy> {
  const [source, sink] = [await startStreamDc({ mode: 'source' }), await startStreamDc({ mode: 'sink' })]
  t.after(() => Promise.all([source.close(), sink.close()]))
  return startProxyIn(t, {
    users: SECRETS,
    dcs: {
      [SOURCE]: [{ host: '127.0.0.1', port: source.port }],
      [SINK]: [{ host: '127.0.0.1', port: sink.port }],
    },
    workers: WORKERS,
    config,
  })
}

const connectAs = (proxy: TestProxy, name: keyof typeof SECRETS, dc: number): Promise<FakeTlsClient> =>
  connectFakeTls({ port: proxy.port, secret: SECRETS[name], dc })

/** Ask for the bytes and take what comes, until the end of the connection. */
async function download(client: FakeTlsClient, bytes: number): Promise<void> {
  client.write(buildRequest(bytes))
  await readPattern(client, bytes)
}

async function moved(proxy: TestProxy, name: keyof typeof SECRETS): Promise<number> {
  const user = (await proxy.stats()).users[name]
  return (user?.bytes_in ?? 0) + (user?.bytes_out ?? 0)
}

const assertRefused = (proxy: TestProxy): Promise<void> =>
  assert.rejects(
    connectAs(proxy, 'anna', SOURCE),
    (error) => error instanceof FakeTlsError && error.code === 'closed',
  )

test(
  'a quota over two threads, both directions and four connections is cut where it ends',
  { timeout },
  async (t) => {
    const quota = 6 * MIB
    const proxy = await start(t, { users: usersWith(quota) })
    const anna = await Promise.all([SOURCE, SINK, SOURCE, SINK].map((dc) => connectAs(proxy, 'anna', dc)))
    const boris = await Promise.all([SOURCE, SINK].map((dc) => connectAs(proxy, 'boris', dc)))
    const cut = Promise.allSettled([
      ...anna.map((client, index) =>
        index % 2 === 0 ? download(client, 4 * MIB) : writePattern(client, 4 * MIB),
      ),
      ...anna.map(({ ended }) => ended),
    ])
    // Nobody else notices.
    await Promise.all([download(boris[0]!, 5 * MIB), writePattern(boris[1]!, 5 * MIB)])
    boris[1]!.end()
    assert.equal(Number((await boris[1]!.read(8)).readBigUInt64LE()), 5 * MIB)
    await cut

    await proxy.statsWhen(({ users }) => users['anna']?.connections === 0)
    const used = await moved(proxy, 'anna')
    t.diagnostic(`cut at ${used - quota} bytes beyond the quota`)
    assert.ok(
      used <= quota + WORKERS * DC_READ_BYTES,
      `${used} bytes: at most one read for each thread too much`,
    )
    // Two downloads, each with one read that was written and not sent.
    const short = (WORKERS - 1) * MAX_SLICE_BYTES + 2 * DC_READ_BYTES
    assert.ok(
      used >= quota - short,
      `${used} bytes: at most what the other thread had taken, and what was not sent`,
    )

    await assertRefused(proxy)
    await assertRefused(proxy)
    await waitMetric(proxy, 'mtg_handshakes', { outcome: 'quota' }, 2)
    await waitMetric(proxy, 'mtg_relays_ended', { to: 'telegram', how: 'quota' }, 4)
    const metrics = await proxy.metrics()
    assert.equal(readMetric(metrics, 'mtg_user_refusals', { user: 'anna', reason: 'quota' }), 2)
    assert.equal(readMetric(metrics, 'mtg_user_quota_bytes', { user: 'anna' }), quota)
    assert.equal(readMetric(metrics, 'mtg_user_quota_used_bytes', { user: 'anna' }), used)
    assert.doesNotMatch(metrics, /mtg_user_quota\w*\{user="boris"/)
    const said = (): ReturnType<TestProxy['logLines']> =>
      proxy.logLines().filter(({ message }) => message === 'the quota of a user is used up')
    await waitUntil(() => said().length > 0, 'what the primary says with its next tick')
    assert.deepEqual(
      said().map(({ user, quota: limit, period }) => ({ user, limit, period })),
      [{ user: 'anna', limit: quota, period: 'month' }],
    )
  },
)

test('a larger quota lets the user in at once, a smaller one ends connections', { timeout }, async (t) => {
  const proxy = await start(t, { users: usersWith(MIB) })
  await assert.rejects(download(await connectAs(proxy, 'anna', SOURCE), 8 * MIB))
  await proxy.statsWhen(({ users }) => users['anna']?.connections === 0)
  await assertRefused(proxy)

  await proxy.reload({ users: usersWith(4 * MIB) })
  const client = await connectAs(proxy, 'anna', SOURCE)
  await download(client, MIB)
  // As much as before: nothing changes.
  await proxy.reload({ users: usersWith(4 * MIB) })
  await readPatternOf(client)
  // Threads publish four times a second: that it is less than what was moved is known only after the reload.
  await proxy.reload({ users: usersWith(1.5 * MIB) })
  await client.ended
  await assertRefused(proxy)

  await proxy.reload({ users: usersWith(null) })
  await download(await connectAs(proxy, 'anna', SOURCE), 8 * MIB)
  // What was used is known all the same, should there be a quota again.
  await proxy.reload({ users: usersWith(MIB) })
  await proxy.statsWhen(({ users }) => users['anna']?.connections === 0)
})

async function readPatternOf(client: FakeTlsClient): Promise<void> {
  client.write(buildRequest(1000))
  await client.read(1000)
}

test(
  'a quota begins anew with its period, and not again when the clock is set back',
  { timeout },
  async (t) => {
    const proxy = await start(t, { users: usersWith(MIB) })
    const spend = async (): Promise<void> => {
      await assert.rejects(download(await connectAs(proxy, 'anna', SOURCE), 8 * MIB))
      await proxy.statsWhen(({ users }) => users['anna']?.connections === 0)
    }
    await spend()
    const renewals = (): number =>
      proxy.logLines().filter(({ message }) => message === 'quotas have been renewed').length
    const nextMonth = new Date()
    nextMonth.setUTCMonth(nextMonth.getUTCMonth() + 1, 1)
    const jumpMs = nextMonth.getTime() - Date.now()
    const { now } = Date
    const clock = t.mock.method(Date, 'now', () => now() + jumpMs)
    await waitUntil(() => renewals() === 1, 'the renewal')
    clock.mock.restore() // and back: clients' clocks are right
    await spend()
    await assertRefused(proxy)
    assert.equal(renewals(), 1)
  },
)

test('with over-limit = "front" the user whose quota is used up sees the site', { timeout }, async (t) => {
  const site = await startRecordingSite({
    reply: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    endAfterReply: true,
  })
  t.after(() => site.close())
  const proxy = await start(t, {
    users: usersWith(100_000, 'total', 'front'),
    domainFronting: { host: '127.0.0.1', port: site.port },
  })
  await assert.rejects(download(await connectAs(proxy, 'anna', SOURCE), 8 * MIB))
  await proxy.statsWhen(({ users }) => users['anna']?.connections === 0)
  await assert.rejects(connectAs(proxy, 'anna', SOURCE), FakeTlsError)
  const visit = await site.nextConnection()
  assert.deepEqual([...(await visit.waitReceived(3))], [0x16, 0x03, 0x01])
})

test('what was used is remembered over a restart', { timeout }, async (t) => {
  const folder = makeDirectory(t)
  const config = { users: usersWith(3 * MIB), stateFile: join(folder, 'state.json') }
  const antiReplay = { enabled: false, maxSizeBytes: 0 } // a restart fronts hellos from before it
  const first = await start(t, { ...config, defense: { antiReplay } })
  const client = await connectAs(first, 'anna', SOURCE)
  await download(client, 2 * MIB)
  client.end()
  await client.ended
  await first.statsWhen(({ users }) => users['anna']?.connections === 0)
  await first.running.kill()

  const second = await start(t, { ...config, defense: { antiReplay } })
  await waitMetric(second, 'mtg_user_quota_used_bytes', { user: 'anna' }, 2 * MIB + 8)
  await assert.rejects(download(await connectAs(second, 'anna', SOURCE), 8 * MIB))
  await second.statsWhen(({ users }) => users['anna']?.connections === 0)
  const used = await moved(second, 'anna')
  assert.ok(used > 2 * MIB && used <= 3 * MIB + WORKERS * DC_READ_BYTES, String(used))
  await second.running.kill()

  const third = await start(t, { ...config, defense: { antiReplay } })
  await assertRefusedOrShort(third)
})

/** At most what was left because the other thread had taken it. */
async function assertRefusedOrShort(proxy: TestProxy): Promise<void> {
  const client = await connectAs(proxy, 'anna', SOURCE).catch(() => null)
  if (client !== null) await assert.rejects(download(client, 4 * MIB))
  await proxy.statsWhen(({ users }) => users['anna']?.connections === 0)
  assert.ok((await moved(proxy, 'anna')) <= 3 * MIB + 2 * WORKERS * DC_READ_BYTES)
}
