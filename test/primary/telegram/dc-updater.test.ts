import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { DcUpdater, type PublishedUrls } from '#primary/telegram/dc-updater'
import type { HttpDial } from '#primary/telegram/http-dial'
import type { DcTable } from '#shared/dc'
import { connectFakeTls } from '../../support/faketls-client.ts'
import { findFreePort } from '../../support/free-port.ts'
import { socks5 } from '../../support/routes.ts'
import { startSocksServer } from '../../support/socks-server.ts'
import { startStreamDc } from '../../support/stream-dc.ts'
import { makeSecret, readMetric, startProxyIn, waitUntil } from '../../end-to-end/world.ts'

const timeout = 30_000
const GOOD_V4 = 'default 2;\nproxy_for 203 127.0.0.3:443;\n'
const GOOD_V6 = 'proxy_for 203 [::3]:443;\n'

interface Telegram {
  readonly urls: PublishedUrls
  readonly requests: { readonly url: string; readonly userAgent: string | undefined }[]
  /** By path. */
  answers: Record<string, string | ((response: ServerResponse) => void)>
}

async function startTelegram(t: TestContext): Promise<Telegram> {
  const telegram: Telegram = {
    urls: { ipv4: '', ipv6: '' },
    requests: [],
    answers: { '/v4': GOOD_V4, '/v6': GOOD_V6 },
  }
  const server = createServer((request, response) => {
    const { url = '', headers } = request
    telegram.requests.push({ url, userAgent: headers['user-agent'] })
    const answer = telegram.answers[url] ?? ''
    if (typeof answer === 'string') response.end(answer)
    else answer(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // listening on TCP
  return Object.assign(telegram, {
    urls: { ipv4: `http://127.0.0.1:${port}/v4`, ipv6: `http://127.0.0.1:${port}/v6` },
  })
}

const dialDirectly: HttpDial = async ({ host, port }) => {
  const socket = connect(port, host)
  await once(socket, 'connect')
  return socket
}

interface Run {
  readonly updates: DcTable[]
  readonly lines: { readonly level: number; readonly message?: string; readonly error?: string }[]
  readonly updater: DcUpdater
  readonly failures: () => number
}

function run(t: TestContext, urls: PublishedUrls, intervalMs = 3_600_000): Run {
  const updates: DcTable[] = []
  let failures = 0
  const lines: Run['lines'] = []
  const log = pino(
    { level: 'debug', messageKey: 'message' },
    { write: (line) => lines.push(JSON.parse(line)) },
  )
  const updater = new DcUpdater({
    log,
    timeoutMs: () => 2000,
    dial: () => dialDirectly,
    onUpdate: (published) => updates.push(published),
    onFailure: () => void (failures += 1),
    urls,
    intervalMs,
    firstRetryMs: 20,
  })
  updater.start()
  t.after(() => updater.stop())
  return { updates, lines, updater, failures: () => failures }
}

const V4 = { host: '127.0.0.3', port: 443 }
const V6 = { host: '::3', port: 443 }

test('both families are fetched at once, and put together', { timeout }, async (t) => {
  const telegram = await startTelegram(t)
  const { updates } = run(t, telegram.urls)
  await waitUntil(() => updates.length === 2, 'two updates')
  assert.deepEqual(updates.at(-1), { 203: [V4, V6] })
  assert.deepEqual(telegram.requests.map(({ url }) => url).toSorted(), ['/v4', '/v6'])
  assert.equal(telegram.requests[0]?.userAgent, 'curl/8.5.0')
})

test('whatever goes wrong, the last good addresses stay, and it is tried again', { timeout }, async (t) => {
  const telegram = await startTelegram(t)
  const { updates, lines, failures } = run(t, telegram.urls, 30)
  await waitUntil(() => updates.length >= 2, 'two updates')
  const faults: readonly (readonly [string | ((response: ServerResponse) => void), RegExp])[] = [
    [(response) => void response.writeHead(503).end(GOOD_V4), /status 503/],
    [(response) => void response.writeHead(404).end(), /status 404/],
    [(response) => response.destroy(), /hang up|ECONNRESET/],
    [GOOD_V4 + ' '.repeat(70_000), /larger than 65536 bytes/],
    ['<html>Please log in</html>', /no address of DC 203/],
    ['proxy_for 203 evil.example:443;\nproxy_for 203 ;\n', /no address of DC 203/],
    ['', /no address of DC 203/],
  ]
  for (const [fault, reason] of faults) {
    telegram.answers['/v4'] = fault
    const from = lines.length
    await waitUntil(() => lines.slice(from).some(({ error }) => reason.test(error ?? '')), String(reason))
  }
  assert.equal(failures(), lines.filter(({ error }) => error !== undefined).length)
  assert.ok(updates.slice(2).every((update) => JSON.stringify(update) === JSON.stringify({ 203: [V4, V6] })))
  telegram.answers['/v4'] = 'proxy_for 203 127.0.0.4:443;\n'
  const isNew = (update: DcTable | undefined): boolean => update?.[203]?.[0]?.host === '127.0.0.4'
  await waitUntil(() => isNew(updates.at(-1)), 'the new address')
})

test('after a stop nothing is fetched any more', { timeout }, async (t) => {
  const telegram = await startTelegram(t)
  telegram.answers['/v4'] = () => {}
  const { updates, lines, updater } = run(t, telegram.urls, 10)
  await waitUntil(() => updates.length > 2 && telegram.requests.some(({ url }) => url === '/v4'), 'requests')
  updater.stop()
  await new Promise((resolve) => setTimeout(resolve, 100)) // nothing has to happen
  const before = [updates.length, telegram.requests.length]
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.deepEqual([updates.length, telegram.requests.length], before)
  assert.ok(
    lines.every(({ level }) => level < 40),
    'a stop is no failure',
  )
})

test('the running proxy fetches through its proxies and dials what it was told', { timeout }, async (t) => {
  const telegram = await startTelegram(t)
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const socks = await startSocksServer(t)
  // The address of the table is dead; the published ones are a name, garbage and a living one.
  telegram.answers['/v4'] = `proxy_for 203 localhost:${dc.port};\nproxy_for 203 127.0.0.1:${dc.port};\n`
  telegram.answers['/v6'] = 'proxy_for 203 ;\n'
  const proxy = await startProxyIn(t, {
    users: { alice: makeSecret(1) },
    dcs: { 203: [{ host: '127.0.0.1', port: await findFreePort() }] },
    workers: 2,
    config: { autoUpdate: true, network: { proxies: [socks5(socks.port)] } },
    publishedUrls: telegram.urls,
  })
  await waitUntil(() => /addresses of data centres have been fetched/.test(proxy.logText()), 'an update')
  await waitUntil(() => telegram.requests.length === 2, 'both requests')
  assert.equal(socks.targets.filter((target) => telegram.urls.ipv4.includes(target)).length, 2)
  const exchange = async (): Promise<boolean> => {
    const client = await connectFakeTls({ port: proxy.port, secret: makeSecret(1), dc: 203 })
    client.write(Buffer.from('published'))
    const answer = await client.read(9).catch(() => Buffer.alloc(0))
    client.destroy()
    return String(answer) === 'published'
  }
  await waitUntil(exchange, 'a connection to the published address')
  assert.ok((await exchange()) && (await exchange()), 'in every thread')
  assert.ok(!socks.targets.includes(`localhost:${dc.port}`))
  await waitUntil(async () => {
    const text = await proxy.metrics()
    return readMetric(text, 'mtg_telegram_traffic', { telegram_ip: '127.0.0.1', dc: '203' }) > 0
  }, 'its traffic')

  await proxy.running.reload({ ...proxy.config, autoUpdate: false })
  assert.equal(await exchange(), false, 'without auto-update they are forgotten')
})

test('a proxy that hangs is told to its breaker by downloads too', { timeout }, async (t) => {
  const telegram = await startTelegram(t)
  const socks = await startSocksServer(t, { fault: { at: 'greeting', how: 'hang' } })
  const proxy = await startProxyIn(t, {
    users: { alice: makeSecret(1) },
    dcs: {},
    config: {
      autoUpdate: true,
      network: {
        proxies: [socks5(socks.port)],
        timeout: { tcpMs: 200, httpMs: 60_000, idleMs: 300_000, handshakeMs: 10_000 },
      },
    },
    publishedUrls: telegram.urls,
  })
  // Long before the request itself is given up.
  await waitUntil(
    async () => readMetric(await proxy.metrics(), 'mtg_upstream_failures') === 2,
    'failures of both requests',
  )
  assert.match(proxy.logText(), /timed out after 200 ms/)
})
