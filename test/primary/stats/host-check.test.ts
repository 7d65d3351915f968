import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import * as fc from 'fast-check'
import { isExpectedHost } from '#primary/stats/host-check'
import { startTestProxy, type ConfigOverrides, type TestProxy } from '../../support/proxy.ts'
import { ask } from './http.ts'
import { makeDirectory } from '../../support/make-directory.ts'

const SECRET = 'ee00112233445566778899aabbccddeeff736974652e6578616d706c65'

async function start(t: TestContext, config: ConfigOverrides = {}): Promise<TestProxy> {
  const proxy = await startTestProxy({ users: { anna: SECRET }, dcs: {}, config })
  t.after(() => proxy.stop())
  return proxy
}

test('addresses, localhost and names without a dot are expected, and no names that others could have', () => {
  for (const host of [
    undefined,
    '',
    '127.0.0.1',
    '203.0.113.7:9090',
    '[::1]',
    '[2001:db8::1]:9090',
    'localhost',
    'LOCALHOST:9090',
    'localhost.',
    'api.localhost',
    'mtg:9090',
  ])
    assert.ok(isExpectedHost(host, []), String(host))
  for (const host of [
    'evil.example',
    'evil.example:9090',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '127.1',
    '[evil.example]',
    '[::1',
    '::1',
    'evil.example\u00a0localhost',
    'user@localhost',
    'evil.example:80:80',
  ])
    assert.ok(!isExpectedHost(host, ['stats.example']), host)
  for (const host of ['stats.example', 'Stats.Example.:443'])
    assert.ok(isExpectedHost(host, ['stats.example']))
  assert.ok(isExpectedHost('evil.example', ['*']))
})

test('whatever stands there, a name with a dot is refused unless it is an address or allowed', () => {
  fc.assert(
    fc.property(fc.domain(), fc.option(fc.nat(0xffff)), (name, port) => {
      const header = port === null ? name : `${name}:${port}`
      assert.equal(isExpectedHost(header, []), false)
      assert.equal(isExpectedHost(header, [name.toLowerCase()]), true)
    }),
  )
})

test('on every path of both servers, with one warning for a name, until a reload allows it', async (t) => {
  const proxy = await start(t)
  const { apiAddress, metricsAddress } = proxy.running
  assert.ok(apiAddress !== null && metricsAddress !== null)
  const statusOf = async (address: typeof apiAddress, path: string, host: string, method = 'GET') =>
    (await ask(address, path, method, { host })).status

  for (const path of [
    '/stats',
    '/health/live',
    '/health/ready',
    '/v1/upstreams',
    '/v1/openapi.json',
    '/none',
  ])
    assert.equal(await statusOf(apiAddress, path, 'evil.example'), 421, path)
  assert.equal(await statusOf(apiAddress, '/stats', 'evil.example', 'POST'), 421)
  assert.equal(await statusOf(metricsAddress, '/', 'evil.example:80'), 421)
  const refused = await ask(apiAddress, '/stats', 'GET', { host: 'evil.example' })
  assert.equal(refused.body, '421 this name is not in api-allowed-hosts\n')
  assert.equal(refused.headers['cache-control'], 'no-store')
  assert.equal(await statusOf(apiAddress, '/stats', 'localhost'), 200)

  const warned = proxy
    .logLines()
    .filter(({ msg, message }) => String(msg ?? message).includes('api-allowed-hosts'))
  assert.deepEqual(
    warned.map(({ host }) => host),
    ['evil.example', 'evil.example:80'],
  )
  await proxy.reload({ apiAllowedHosts: ['evil.example'] })
  assert.equal(await statusOf(apiAddress, '/stats', 'evil.example'), 200)
  assert.equal(await statusOf(metricsAddress, '/', 'evil.example:80'), 200)
})

test('names without end do not fill the log', async (t) => {
  const proxy = await start(t)
  const { apiAddress } = proxy.running
  assert.ok(apiAddress !== null)
  for (let i = 0; i < 30; i++) await ask(apiAddress, '/stats', 'GET', { host: `evil${i}.example` })
  assert.equal(proxy.logText().match(/evil\d+\.example/g)?.length, 20)
})

test('a UNIX socket is asked by whatever name', async (t) => {
  const folder = makeDirectory(t)
  const path = join(folder, 'api.sock')
  await start(t, { apiBindTo: { path } })
  const socket = connect(path)
  socket.write('GET /health/live HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n')
  // A socket without an encoding gives buffers.
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  assert.match(String(chunk), /^HTTP\/1\.1 200 /)
})

test('an exporter that the network may ask is asked by name', async (t) => {
  const everywhere = { host: '0.0.0.0', port: 0 }
  const prometheus = { enabled: true, bindTo: everywhere, httpPath: '/', metricPrefix: 'mtg' }
  const { running } = await start(t, { stats: { prometheus } })
  const { metricsAddress } = running
  assert.ok(metricsAddress !== null)
  const at = { host: '127.0.0.1', port: metricsAddress.port }
  assert.equal((await ask(at, '/', 'GET', { host: 'node7.example:3129' })).status, 200)
})
