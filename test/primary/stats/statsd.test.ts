import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'

import type { Sample } from '#primary/stats/families'
import { MAX_DATAGRAM_BYTES, startStatsd, type Statsd } from '#primary/stats/statsd'
import type { StatsdFamily } from '#primary/stats/statsd-series'
import type { StatsConfig } from '#shared/config'

import { findFreePort } from '../../support/free-port.ts'
import { recordLog, type RecordedLine } from '../../support/record-log.ts'
import { startStatsdServer, type StatsdServer } from '../../support/statsd-server.ts'

const timeout = 60_000

interface Fixture {
  statsd: Statsd
  server: StatsdServer
  users: Sample[]
  bytes: Sample[]
  log: RecordedLine[]
}

async function start(t: TestContext, config: Partial<StatsConfig['statsd']> = {}): Promise<Fixture> {
  const server = await startStatsdServer(t)
  const users: Sample[] = []
  const bytes: Sample[] = []
  const families: StatsdFamily[] = [
    { name: 'user_connections', kind: 'gauge', collect: () => users },
    { name: 'user_bytes', kind: 'counter', collect: () => bytes },
  ]
  const { logger, lines } = recordLog()
  const address = { host: '127.0.0.1', port: server.port }
  const statsd = startStatsd({
    config: { enabled: true, address, metricPrefix: 'mtg', tagFormat: 'datadog', ...config },
    families,
    log: logger,
  })
  t.after(() => statsd.stop())
  return { statsd, server, users, bytes, log: lines }
}

test('what has changed is sent by itself, every second', { timeout }, async (t) => {
  const { server, bytes } = await start(t)
  bytes.push({ labels: { user: 'anna' }, value: 10 })
  await server.waitUntil(() => server.values('datadog').get('mtg.user_bytes{user=anna}') === 10)
  bytes[0] = { labels: { user: 'anna' }, value: 17 }
  await server.waitUntil(() => server.values('datadog').get('mtg.user_bytes{user=anna}') === 17)
  assert.deepEqual(
    server.lines('datadog').map(({ value }) => value),
    [10, 7],
  )
})

test('the last values are sent at the end, and nothing after them', { timeout }, async (t) => {
  const { statsd, server, users, bytes } = await start(t)
  users.push({ labels: { user: 'anna' }, value: 3 })
  await statsd.flush()
  bytes.push({ labels: { user: 'anna' }, value: 1_000_003 })
  await Promise.all([statsd.stop(), statsd.stop()])
  await statsd.flush()
  await server.waitUntil(() => server.values('datadog').size === 2)
  assert.deepEqual(
    [...server.values('datadog')],
    [
      ['mtg.user_connections{user=anna}', 0],
      ['mtg.user_bytes{user=anna}', 1_000_003],
    ],
  )
})

test('a thousand users go out in datagrams that fit, and all arrive', { timeout }, async (t) => {
  const { statsd, server, users, bytes } = await start(t, { tagFormat: 'graphite' })
  for (let at = 0; at < 1000; at++) {
    const labels = { user: `имя ${at}`, direction: 'to_client' }
    users.push({ labels, value: at })
    bytes.push({ labels, value: 1 + at })
  }
  const startMs = performance.now()
  await statsd.flush()
  t.diagnostic(`2,000 lines in ${(performance.now() - startMs).toFixed(1)} ms`)
  await server.waitUntil(() => server.lines('graphite').length >= 2000)
  const sizes = server.datagrams.map(({ length }) => length)
  assert.ok(Math.max(...sizes) <= MAX_DATAGRAM_BYTES, `${Math.max(...sizes)}`)
  assert.ok(Math.max(...sizes) > MAX_DATAGRAM_BYTES / 2, 'they are filled')
  assert.ok(server.datagrams.every((datagram) => datagram.at(-1) !== 0x0a))
  assert.equal(server.values('graphite').size, 2000)
})

test('host names are resolved', { timeout }, async (t) => {
  const { statsd, server, bytes } = await start(t)
  const named = startStatsd({
    config: {
      enabled: true,
      address: { host: 'localhost', port: server.port },
      metricPrefix: 'named',
      tagFormat: 'datadog',
    },
    families: [{ name: 'a', kind: 'counter', collect: () => bytes }],
    log: recordLog().logger,
  })
  t.after(() => named.stop())
  bytes.push({ labels: {}, value: 1 })
  await statsd.flush()
  await server.waitUntil(() => server.values('datadog').get('named.a{}') === 1)
})

test('a server that is down is told once, and gets the gauges when it is back', { timeout }, async (t) => {
  const port = await findFreePort()
  const { statsd, users, log } = await start(t, { address: { host: '127.0.0.1', port } })
  users.push({ labels: {}, value: 5 })
  for (let turn = 0; turn < 12; turn++) await statsd.flush()
  assert.deepEqual(
    log.map(({ level, message, server }) => ({ level, message, server })),
    [{ level: 'warn', message: 'cannot send metrics to StatsD', server: `127.0.0.1:${port}` }],
  )
  assert.match(String(log[0]?.['error']), /ECONNREFUSED/)
  const back = await startStatsdServer(t, port)
  await back.waitUntil(() => back.values('datadog').get('mtg.user_connections{}') === 5)
  assert.equal(log.length, 1)
})

test('a server whose name nobody knows is told once', { timeout }, async (t) => {
  const { statsd, bytes, log } = await start(t, { address: { host: 'statsd.invalid', port: 8125 } })
  bytes.push({ labels: {}, value: 5 })
  for (let turn = 0; turn < 3; turn++) await statsd.flush()
  assert.equal(log.length, 1)
  assert.match(String(log[0]?.['error']), /statsd\.invalid/)
  await statsd.stop()
})

test('an error of ours does not end the process', { timeout }, async (t) => {
  const { server } = await start(t)
  const { logger, lines } = recordLog()
  const broken: StatsdFamily = {
    name: 'a',
    kind: 'gauge',
    collect: () => {
      throw new Error('boom')
    },
  }
  const address = { host: '127.0.0.1', port: server.port }
  const statsd = startStatsd({
    config: { enabled: true, address, metricPrefix: 'mtg', tagFormat: 'datadog' },
    families: [broken],
    log: logger,
  })
  await statsd.flush()
  await statsd.stop()
  assert.ok(lines.length >= 1)
  for (const { level, error } of lines) {
    assert.equal(level, 'error')
    assert.match(String(error), /^Error: boom\n +at /, 'with its stack')
  }
})

test('it keeps no process alive', { timeout }, async () => {
  const program = `
    import { startStatsd } from '#primary/stats/statsd'
    const log = { warn() {}, error() {} }
    const address = { host: '127.0.0.1', port: 9 }
    const config = { enabled: true, address, metricPrefix: 'mtg', tagFormat: 'datadog' }
    await startStatsd({ config, families: [], log }).flush()`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'inherit' })
  assert.deepEqual(await once(child, 'exit', { signal: AbortSignal.timeout(30_000) }), [0, null])
})
