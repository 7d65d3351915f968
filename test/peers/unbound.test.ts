import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { DnsConfig } from '#shared/config'
import { Resolver } from '#shared/dial/resolver'
import { DNS_SERVER_CERT } from '../support/dns-server.ts'
import { findFreePort } from '../support/free-port.ts'
import { startRecordingSite } from '../support/front-site.ts'
import { startPeer } from './support/peer.ts'
import { startProgram } from '../primary/commands/run-program.ts'
import { createCounter, PATIENT } from '../shared/dial/dns/support.ts'
import { makeDirectory } from '../support/make-directory.ts'

const timeout = 60_000
const LARGE = Array.from({ length: 60 }, (_, at) => `10.0.0.${at + 1}`)
const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))

const KINDS = ['udp', 'tls', 'https'] as const
type Kind = (typeof KINDS)[number]
type Ports = Record<Kind, number>

/** A name server of other people's making, on loopback, with a zone of its own. */
async function startUnbound(t: TestContext): Promise<{ ports: Ports; directory: string }> {
  const ports = { udp: await findFreePort(), tls: await findFreePort(), https: await findFreePort() }
  const directory = makeDirectory(t)
  const file = join(directory, 'unbound.conf')
  writeFileSync(file, buildConfig(ports))
  const unbound = startPeer(t, 'unbound', ['-d', '-p', '-c', file], { cwd: directory })
  for (const port of Object.values(ports)) await unbound.waitForPort(port)
  return { ports, directory }
}

function askFor(kind: Kind, ports: Ports): DnsConfig {
  const at = { host: '127.0.0.1', port: ports[kind] }
  return kind === 'https' ? { kind, ...at, path: '/dns-query' } : { kind, ...at }
}

for (const kind of KINDS) {
  test(
    `over ${kind}: addresses of both families, none, no such name, many at once`,
    { timeout },
    async (t) => {
      const { ports } = await startUnbound(t)
      const { counter, counted } = createCounter()
      const resolver = new Resolver(askFor(kind, ports), { counter, ca: DNS_SERVER_CERT, ...PATIENT })
      t.after(() => resolver.close())
      assert.deepEqual(await resolver.resolve('site.example.test'), ['192.0.2.7', '2001:db8::7'])
      assert.deepEqual(await resolver.resolve('four.example.test'), ['192.0.2.4'])
      await assert.rejects(resolver.resolve('text.example.test'), { message: /has no address/ })
      await assert.rejects(resolver.resolve('nowhere.example.test'), { message: /no such name/ })
      const names = Array.from({ length: 100 }, (_, n) => `h${n}.many.test`)
      for (const found of await Promise.all(names.map((name) => resolver.resolve(name))))
        assert.deepEqual(found, ['192.0.2.9'])
      const isFine = (each: string): boolean => each.startsWith(`${kind} `) && !/failed|timeout/.test(each)
      assert.ok(counted.every(isFine), counted.join())
    },
  )
}

test('an answer that does not fit into a datagram comes over TCP', { timeout }, async (t) => {
  const { ports } = await startUnbound(t)
  const { counter, counted } = createCounter()
  const resolver = new Resolver(askFor('udp', ports), { counter })
  t.after(() => resolver.close())
  const found = await resolver.resolve('large.example.test', 4)
  assert.equal(found.length, 16)
  assert.ok(found.every((address) => LARGE.includes(address)))
  assert.deepEqual(counted, ['udp truncated', 'tcp ok'])
})

for (const kind of KINDS) {
  test(`the whole program finds the fronting site over ${kind}`, { timeout }, async (t) => {
    const { ports, directory } = await startUnbound(t)
    const site = await startRecordingSite()
    t.after(() => site.close())
    const port = await findFreePort()
    const secret = `ee${'01'.repeat(16)}${Buffer.from('example.test').toString('hex')}`
    const config = join(directory, 'config.toml')
    writeFileSync(
      config,
      `secret = "${secret}"\nbind-to = "127.0.0.1:${port}"\n` +
        `[domain-fronting]\nhost = "front.example.test"\nport = ${site.port}\n` +
        `[network]\ndns = "${kind}://127.0.0.1:${ports[kind]}"\n`,
    )
    const program = startProgram(t, ['run', config], {
      env: { NODE_EXTRA_CA_CERTS: fixture('front-site-cert.pem') },
    })
    await program.waitFor('"listening"')
    const stranger = connect(port, '127.0.0.1', () => stranger.write('GET / HTTP/1.1\r\n\r\n'))
    stranger.on('error', () => {})
    t.after(() => stranger.destroy())
    const reached = await site.nextConnection()
    assert.equal(String(await reached.waitReceived(5)), 'GET /')
  })
}

function buildConfig({ udp, tls, https }: Ports): string {
  const data = [
    'site.example.test. 120 IN A 192.0.2.7',
    'site.example.test. 120 IN AAAA 2001:db8::7',
    'four.example.test. 120 IN A 192.0.2.4',
    'front.example.test. 120 IN A 127.0.0.1',
    'text.example.test. 120 IN TXT hello',
    ...LARGE.map((address) => `large.example.test. 120 IN A ${address}`),
  ]
  return `server:
  directory: "."
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  interface: 127.0.0.1@${udp}
  interface: 127.0.0.1@${tls}
  interface: 127.0.0.1@${https}
  tls-port: ${tls}
  https-port: ${https}
  tls-service-key: "${fixture('front-site-key.pem')}"
  tls-service-pem: "${fixture('front-site-cert.pem')}"
  access-control: 127.0.0.0/8 allow
  local-zone: "example.test." static
  local-zone: "many.test." redirect
  local-data: "many.test. 60 IN A 192.0.2.9"
${data.map((line) => `  local-data: "${line}"`).join('\n')}
`
}
