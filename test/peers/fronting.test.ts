import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { HOST, startWorld, waitMetric, type World } from '../end-to-end/world.ts'
import { FILE_BYTES, startNginxSite, type NginxSite } from './support/nginx-site.ts'
import { makeDirectory } from '../support/make-directory.ts'

/** Visitors with real software get from the proxy's port what they get from the site's, by Debian's nginx. */

const options = { timeout: 120_000 }
const SITE_PATIENCE_S = 10
const LIMIT_MS = 60_000

interface Visited {
  readonly site: NginxSite
  readonly proxy: World['proxy']
}

async function startVisited(t: TestContext): Promise<Visited> {
  const site = await startNginxSite(t, HOST, SITE_PATIENCE_S)
  const { proxy } = await startWorld(t, { workers: 2, fronting: { host: '127.0.0.1', port: site.port } })
  return { site, proxy }
}

/** Run a program to its end, without holding up the proxy, which lives in this process. */
async function run(command: string, args: readonly string[], input = ''): Promise<Buffer> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: LIMIT_MS })
  const chunks: Buffer[] = []
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  child.stdin.end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  assert.equal(code, 0, `${command}: ${errors}`)
  return Buffer.concat(chunks)
}

/** The site's answers bear the second in which they were made. */
const withoutDate = (headers: string): string => headers.replace(/^date: .*$/im, 'date: …')

test('curl gets the page, the headers and the file, by HTTP/1.1 and by HTTP/2', options, async (t) => {
  const { site, proxy } = await startVisited(t)
  const get = async (port: number, args: readonly string[]): Promise<Buffer> =>
    run('curl', [
      '-sS',
      '--cacert',
      site.certificate,
      '--connect-to',
      `${HOST}:443:127.0.0.1:${port}`,
      ...args,
    ])
  for (const [version, protocol] of [
    ['--http1.1', 'HTTP/1.1 200'],
    ['--http2', 'HTTP/2 200'],
  ] as const) {
    for (const tls of [['--tls-max', '1.2'], ['--tlsv1.3']]) {
      const args = [version, ...tls, '-i', `https://${HOST}/`]
      const [direct, proxied] = [await get(site.port, args), await get(proxy.port, args)]
      assert.equal(withoutDate(proxied.toString()), withoutDate(direct.toString()))
      assert.ok(proxied.toString().startsWith(protocol), proxied.toString())
    }
    const file = await get(proxy.port, [version, `https://${HOST}/file.bin`])
    assert.equal(file.length, FILE_BYTES)
    assert.ok(file.equals(await get(site.port, [version, `https://${HOST}/file.bin`])))
  }
  await waitMetric(proxy, 'mtg_domain_fronting', {}, 6)
})

test('openssl s_client sees the certificate, protocol, cipher and ALPN of the site', options, async (t) => {
  const { site, proxy } = await startVisited(t)
  const look = async (port: number, args: readonly string[]): Promise<string[]> => {
    const connect = ['-connect', `127.0.0.1:${port}`, '-CAfile', site.certificate, '-showcerts']
    const text = String(await run('openssl', ['s_client', ...connect, ...args], 'Q\n'))
    // What differs from one handshake with the same server to the next.
    const varying =
      /^\s*(Session-ID|Master-Key|Resumption PSK|Start Time|[0-9a-f]{4} - |CONNECTED|SSL handshake has)/
    const lines = text.split('\n').filter((line) => !varying.test(line))
    // Behind its verdict comes what arrived before it left: tickets, or not yet.
    return lines.slice(0, lines.findIndex((line) => line.includes('Verify return code')) + 1)
  }
  for (const args of [
    ['-tls1_3', '-servername', HOST, '-alpn', 'h2,http/1.1'],
    ['-tls1_2', '-servername', HOST, '-alpn', 'h2'],
    ['-tls1_2', '-servername', HOST, '-alpn', 'http/1.1'],
    ['-noservername'],
    ['-servername', 'www.example.org'],
  ]) {
    const [direct, proxied] = [await look(site.port, args), await look(proxy.port, args)]
    assert.deepEqual(proxied, direct)
    const text = proxied.join('\n')
    assert.match(text, /Verify return code: 0 \(ok\)/)
    assert.ok(text.includes('BEGIN CERTIFICATE'))
    if (args.includes('-alpn')) assert.match(text, /ALPN protocol: (h2|http\/1\.1)/)
  }
})

test('Chromium shows the page by HTTP/2, and takes no other key than the site’s', options, async (t) => {
  const { site, proxy } = await startVisited(t)
  const browse = async (port: number, keyHash: string): Promise<string> => {
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run']
    const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync']
    const dom = await run('chromium', [
      ...flags,
      ...quiet,
      `--user-data-dir=${makeDirectory(t)}`,
      `--ignore-certificate-errors-spki-list=${keyHash}`,
      `--host-resolver-rules=MAP ${HOST}:443 127.0.0.1:${port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
      '--dump-dom',
      `https://${HOST}/`,
    ])
    return String(dom)
  }
  const [direct, proxied] = [await browse(site.port, site.keyHash), await browse(proxy.port, site.keyHash)]
  assert.equal(proxied, direct)
  assert.ok(proxied.includes('<title>h2</title>'), proxied)
  assert.ok(proxied.includes('A site like any other'), proxied)
  // With another key expected, the browser warns: it has looked at the key, not only at the page.
  const wary = await browse(proxy.port, Buffer.alloc(32).toString('base64'))
  assert.ok(!wary.includes('A site like any other'), wary)
})
