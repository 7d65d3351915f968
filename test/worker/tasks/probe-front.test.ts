import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { suite, test, type TestContext } from 'node:test'
import type { TlsOptions } from 'node:tls'
import type { FrontProbeTask } from '#shared/front-probe'
import type { FrontFlights } from '#shared/traffic-profile'
import probeFront from '#worker/tasks/probe-front'
import { startTlsSite } from '../../support/tls-site.ts'
import { LIVENESS_MS } from '../../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS }

const task = (port: number, more: Partial<FrontProbeTask> = {}): FrontProbeTask => ({
  serverName: 'front.test',
  addresses: [{ host: '127.0.0.1', port }],
  route: null,
  proxyProtocol: false,
  repeats: 3,
  timeoutMs: LIVENESS_MS / 2,
  ...more,
})

async function probe(t: TestContext, options: TlsOptions): Promise<FrontFlights> {
  const site = await startTlsSite(options)
  t.after(() => site.close())
  const result = await probeFront(task(site.port))
  assert.ok(result.ok, JSON.stringify(result))
  assert.equal(site.connections.length, 6)
  assert.ok(site.connections.every(({ servername }) => servername === 'front.test'))
  return result.flights
}

const CASES: readonly (TlsOptions & { name: string; suite: number; group: number })[] = [
  { name: 'X25519', ecdhCurve: 'X25519', suite: 0x1302, group: 0x001d },
  { name: 'X25519MLKEM768', ecdhCurve: 'X25519MLKEM768:X25519', suite: 0x1302, group: 0x11ec },
  { name: 'P-256, by a HelloRetryRequest', ecdhCurve: 'P-256', suite: 0x1302, group: 0x0017 },
  {
    name: 'a suite of its own choice',
    ecdhCurve: 'X25519',
    ciphers: 'TLS_CHACHA20_POLY1305_SHA256',
    suite: 0x1303,
    group: 0x001d,
  },
  {
    name: 'the suite that clients want first',
    ecdhCurve: 'X25519',
    honorCipherOrder: false,
    suite: 0x1301,
    group: 0x001d,
  },
]

// Each waits for tickets that may still come: all at once.
suite('what a site answers with', { concurrency: true }, () => {
  for (const { name, suite: cipherSuite, group, ...options } of CASES) {
    test(`a site that answers with ${name} is seen so`, LIMIT, async (t) => {
      const { hybrid: flight, classic } = await probe(t, options)
      assert.deepEqual([flight.cipherSuite, flight.group], [cipherSuite, group])
      assert.deepEqual([classic.cipherSuite, classic.group], [cipherSuite, group === 0x11ec ? 0x001d : group])
      assert.deepEqual(flight.extensions, [0x2b, 0x33], 'the order of OpenSSL')
      // EncryptedExtensions, Certificate, CertificateVerify, Finished, each in a record.
      assert.equal(flight.recordBytes.length, 4)
      assert.equal(flight.tickets, 2, 'as OpenSSL sends them')
      assert.equal(flight.encryptedBytes.length, 3)
      const last = flight.recordBytes.reduce((sum, bytes) => sum + 5 + bytes, 0)
      assert.equal(flight.encryptedBytes[2], last)
      for (const bytes of flight.encryptedBytes)
        assert.ok(Math.abs(bytes - last) <= 4, 'signatures differ a little')
    })
  }
})

test('what the site sends on top of it counts: with ALPN its first record is longer', LIMIT, async (t) => {
  const plain = await probe(t, { ecdhCurve: 'X25519' })
  const withAlpn = await probe(t, { ecdhCurve: 'X25519', ALPNProtocols: ['h2'] })
  assert.ok(withAlpn.hybrid.recordBytes[0]! > plain.hybrid.recordBytes[0]!)
})

test('a site that prefers a hybrid group says so to those who do not offer it', LIMIT, async (t) => {
  const { hybrid, classic } = await probe(t, { ecdhCurve: 'X25519MLKEM768:X25519' })
  assert.equal(classic.recordBytes[0]! - hybrid.recordBytes[0]!, 10, 'supported_groups with two of them')
})

test('the PROXY header comes before the hello', LIMIT, async (t) => {
  const got = Promise.withResolvers<Buffer>()
  const server = createServer((socket: Socket) => {
    socket.once('data', (chunk: Buffer) => {
      got.resolve(chunk)
      socket.destroy()
    })
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const result = await probeFront(task(port, { proxyProtocol: true }))
  assert.equal(result.ok, false)
  assert.equal((await got.promise).toString('hex', 0, 16), '0d0a0d0a000d0a515549540a20000000')
})

test('a site of TLS 1.2 is no model', LIMIT, async (t) => {
  const site = await startTlsSite({ maxVersion: 'TLSv1.2' })
  t.after(() => site.close())
  const result = await probeFront(task(site.port))
  assert.deepEqual(result, { ok: false, reason: 'the site speaks TLSv1.2, clients of ours see TLSv1.3' })
})

const SILENCE = /no answer within 300 ms/
const BROKEN: readonly [string, (socket: Socket) => void, RegExp][] = [
  ['hangs up', (socket) => socket.end(), /disconnected|closed/],
  ['resets', (socket) => socket.resetAndDestroy(), /ECONNRESET|closed/],
  ['answers with something else', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), /./],
  ['keeps silent', () => {}, SILENCE],
  ['answers with half a record', (socket) => socket.write(Buffer.from('1603030100020000', 'hex')), SILENCE],
]

for (const [what, answer, expected] of BROKEN) {
  const isSilent = expected === SILENCE
  test(`a site that ${what} is a reason, not an error`, LIMIT, async (t) => {
    const sockets: Socket[] = []
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
      socket.resume()
      answer(socket)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      server.close()
      for (const socket of sockets) socket.destroy()
    })
    const { port } = server.address() as AddressInfo
    const result = await probeFront(task(port, isSilent ? { timeoutMs: 300 } : {}))
    assert.ok(!result.ok)
    assert.match(result.reason, expected)
  })
}

test('a closed port is a reason', LIMIT, async () => {
  const result = await probeFront(task(1))
  assert.ok(!result.ok)
  assert.match(result.reason, /ECONNREFUSED/)
})
