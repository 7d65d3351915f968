import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { FrontFlights } from '#shared/traffic-profile'
import probeFront from '#worker/tasks/probe-front'
import { makeSecret, startProxyIn, waitUntil } from '../end-to-end/world.ts'
import { buildClientHello, HYBRID_HELLO_BYTES, USUAL_HELLO_BYTES } from '../support/client-hello.ts'
import { parseClientSecret } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import { seeAnswer } from '../support/see-answer.ts'
import { startPeer } from './support/peer.ts'
import { makeDirectory } from '../support/make-directory.ts'

/** Servers that are not Node: what the probe sees of them, and whether we answer a hello as they do. */

const timeout = 60_000
const fixture = (name: 'key' | 'cert'): string =>
  fileURLToPath(new URL(`../fixtures/front-site-${name}.pem`, import.meta.url))

async function startNginx(t: TestContext, tls: string): Promise<number> {
  const folder = makeDirectory(t)
  const port = await findFreePort()
  const conf = `daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${fixture('cert')};
    ssl_certificate_key ${fixture('key')};
    ssl_protocols TLSv1.2 TLSv1.3;
    ${tls}
    return 200 "a site";
  }
}
`
  writeFileSync(join(folder, 'nginx.conf'), conf)
  await startPeer(t, 'nginx', ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')]).waitForPort(
    port,
  )
  return port
}

async function startOpenssl(t: TestContext, args: readonly string[]): Promise<number> {
  const port = await findFreePort()
  const files = ['-key', fixture('key'), '-cert', fixture('cert')]
  const server = startPeer(t, 'openssl', [
    's_server',
    '-quiet',
    '-accept',
    `127.0.0.1:${port}`,
    ...files,
    ...args,
  ])
  await server.waitForPort(port)
  return port
}

async function probe(port: number): Promise<FrontFlights> {
  const result = await probeFront({
    serverName: 'front.test',
    addresses: [{ host: '127.0.0.1', port }],
    route: null,
    proxyProtocol: false,
    repeats: 2,
    timeoutMs: timeout / 2,
  })
  assert.ok(result.ok, JSON.stringify(result))
  return result.flights
}

const FRONTS: readonly [string, (t: TestContext) => Promise<number>][] = [
  ['nginx as it comes', (t) => startNginx(t, '')],
  ['nginx with its own order of ciphers', (t) => startNginx(t, 'ssl_prefer_server_ciphers on;')],
  ['nginx without tickets', (t) => startNginx(t, 'ssl_session_tickets off;')],
  ['openssl s_server', (t) => startOpenssl(t, [])],
  [
    'openssl s_server with one suite',
    (t) => startOpenssl(t, ['-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256']),
  ],
]

for (const [name, start] of FRONTS) {
  test(`the same hello gets the same answer from ${name} and from us`, { timeout }, async (t) => {
    const port = await start(t)
    const secret = makeSecret(1)
    const proxy = await startProxyIn(t, {
      users: { alice: secret },
      dcs: { 2: [{ host: '127.0.0.1', port: 9 }] },
      fronting: { host: '127.0.0.1', port },
      config: {
        defense: {
          doppelganger: {
            urls: [],
            repeatsPerRaid: 1,
            raidEachMs: 3_600_000,
            drs: false,
            pacing: 'burst',
            learnFront: true,
          },
        },
      },
    })
    await waitUntil(() => proxy.logText().includes('updated server flights'), 'the front is known')
    const { key } = parseClientSecret(secret)
    for (const size of [USUAL_HELLO_BYTES, HYBRID_HELLO_BYTES]) {
      const hello = buildClientHello({ key, host: 'front.test', size })
      const direct = await seeAnswer(port, hello.bytes)
      const ours = await seeAnswer(proxy.port, hello.bytes)
      assert.equal(ours.clear, direct.clear)
      const difference = ours.encryptedBytes - direct.encryptedBytes
      t.diagnostic(
        `hello of ${size} bytes: ${direct.encryptedBytes} bytes encrypted, ours ${difference} more`,
      )
      assert.ok(Math.abs(difference) <= 4, `${difference} bytes; signatures differ by as much`)
    }
  })
}

test('tickets are counted as the server sends them', { timeout }, async (t) => {
  for (const tickets of [0, 1, 5]) {
    const { hybrid, classic } = await probe(await startOpenssl(t, ['-num_tickets', String(tickets)]))
    assert.deepEqual([hybrid.tickets, classic.tickets], [tickets, tickets])
  }
})

test('a server of TLS 1.2 is no model', { timeout }, async (t) => {
  const result = await probeFront({
    serverName: 'front.test',
    addresses: [{ host: '127.0.0.1', port: await startOpenssl(t, ['-tls1_2']) }],
    route: null,
    proxyProtocol: false,
    repeats: 1,
    timeoutMs: timeout / 2,
  })
  assert.deepEqual(result, { ok: false, reason: 'the site speaks TLSv1.2, clients of ours see TLSv1.3' })
})
