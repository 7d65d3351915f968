import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { connectFakeTls } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import type { ConfigOverrides, TestProxy } from '../support/proxy.ts'
import { startWorld } from '../end-to-end/world.ts'
import { runPeer, startPeer } from './support/peer.ts'

const timeout = 120_000
const CONF = readFileSync('contrib/nginx/stats-api.conf', 'utf8')
const CERT = join(process.cwd(), 'test/fixtures/front-site-cert.pem')
const KEY = join(process.cwd(), 'test/fixtures/front-site-key.pem')
const PASSWORD = 'correct horse'
const BASIC = `Basic ${Buffer.from(`operator:${PASSWORD}`).toString('base64')}`
const TOKEN = 'c0ffee'.repeat(8)

interface Answer {
  status: number
  headers: NodeJS.Dict<string | string[]>
  body: string
}

interface Site {
  proxy: TestProxy
  secret: string
  get: (path: string, authorization?: string, method?: string) => Promise<Answer>
}

/** The file as it is shipped, with what it marks CHANGE changed, between our proxy and a client that speaks TLS. */
async function startSite(
  t: TestContext,
  change: (conf: string) => string = (conf) => conf,
  upstream: (folder: string) => ConfigOverrides['apiBindTo'] = () => ({ host: '127.0.0.1', port: 0 }),
): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'mtg-multi-nginx-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const config: ConfigOverrides = { apiBindTo: upstream(folder) ?? null, apiPathPrefix: '/proxy' }
  const { proxy, secret } = await startWorld(t, { config })
  const { host, port: apiPort } = proxy.running.apiAddress!
  const port = await findFreePort()

  const passwords = join(folder, 'htpasswd')
  const hash = runPeer('openssl', ['passwd', '-apr1', '-stdin'], PASSWORD).trim()
  writeFileSync(passwords, `operator:${hash}\n`)
  writeFileSync(join(folder, 'stats-api.conf'), change(adapt(CONF, { host, apiPort, port, passwords })))
  writeFileSync(join(folder, 'nginx.conf'), wrap(folder))
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')]
  runPeer('nginx', [...args, '-t'])
  const nginx = startPeer(t, 'nginx', args)
  await nginx.waitForPort(port)

  // A connection each, as visitors have.
  const agent = new Agent({
    ca: readFileSync(CERT),
    checkServerIdentity: () => undefined,
    maxCachedSessions: 0,
  })
  const get = (path: string, authorization?: string, method = 'GET'): Promise<Answer> =>
    ask({ port, path, method, agent, headers: authorization === undefined ? {} : { authorization } })
  return { proxy, secret, get }
}

interface Changes {
  host: string
  apiPort: number
  port: number
  passwords: string
}

/** Each change must have found its place, so that the file cannot drift away from the test. */
function adapt(conf: string, { host, apiPort, port, passwords }: Changes): string {
  const changes: [string, string][] = [
    ['server 127.0.0.1:9090;', apiPort === 0 ? `server unix:${host};` : `server ${host}:${apiPort};`],
    ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
    ['listen [::]:443 ssl;', ''],
    ['/etc/letsencrypt/live/stats.example.com/fullchain.pem', CERT],
    ['/etc/letsencrypt/live/stats.example.com/privkey.pem', KEY],
    ['auth_basic_user_file /etc/nginx/mtg-multi.htpasswd;', `auth_basic_user_file ${passwords};`],
  ]
  return changes.reduce(replaceOnce, conf)
}

function replaceOnce(text: string, [from, to]: [string, string]): string {
  assert.equal(text.split(from).length, 2, `${from} is there once`)
  return text.replace(from, () => to)
}

function wrap(folder: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ')
  return `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
    events { worker_connections 64; }
    http { access_log off; ${temporary} include ${folder}/stats-api.conf; }`
}

function ask(options: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response
        resolve({ status, headers, body: Buffer.concat(chunks).toString() })
      })
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** Everything that the API says of itself, read through nginx by the links it gives. */
async function followLinks(get: Site['get'], authorization: string): Promise<void> {
  const stats = await get('/proxy/stats', authorization)
  const link = /^<([^>]+)>; rel="service-desc"$/.exec(String(stats.headers['link']))?.[1]
  const { status, body } = await get(link ?? '', authorization)
  assert.equal(status, 200)
  const { servers, paths } = JSON.parse(body) as { servers: { url: string }[]; paths: object }
  assert.ok(Object.keys(paths).includes('/stats'))
  for (const path of Object.keys(paths)) {
    const answer = await get(`${servers[0]?.url}${path}`, authorization)
    assert.equal(answer.status, 200, path)
    await pause()
  }
}

/** Slower than the limit on requests. */
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 250))

test('stats are read through nginx by TLS and a password, and by nobody else', { timeout }, async (t) => {
  const { proxy, secret, get } = await startSite(t)
  const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
  t.after(() => client.destroy())
  const direct = await proxy.statsWhen(({ total_connections }) => total_connections === 1)

  const through = await get('/proxy/stats', BASIC)
  assert.equal(through.status, 200)
  assert.equal(through.headers['content-type'], 'application/json')
  assert.equal(through.headers['cache-control'], 'no-store')
  const { users, started_at } = JSON.parse(through.body) as typeof direct
  assert.deepEqual(users, direct.users)
  assert.equal(started_at, direct.started_at)
  const head = await get('/proxy/stats', BASIC, 'HEAD')
  assert.deepEqual([head.status, head.body], [200, ''])

  for (const authorization of [undefined, 'Basic b3BlcmF0b3I6eA==', `Bearer ${TOKEN}`, '']) {
    const refused = await get('/proxy/stats', authorization)
    assert.equal(refused.status, 401, String(authorization))
    assert.match(String(refused.headers['www-authenticate']), /^Basic /)
    assert.ok(!refused.body.includes('alice'))
  }
  assert.equal((await get('/proxy/stats', BASIC, 'POST')).status, 403)
  await pause()
  for (const path of ['/stats', '/', '/health/live', '/proxy/../stats'])
    assert.equal((await get(path, BASIC)).status, 404, path)
})

test('links and the description lead through nginx', { timeout }, async (t) => {
  const { get } = await startSite(t)
  await followLinks(get, BASIC)
})

test('whoever asks too often is told to wait', { timeout }, async (t) => {
  const { get } = await startSite(t)
  const answers = await Promise.all(Array.from({ length: 40 }, () => get('/proxy/stats', 'Basic eDp4')))
  const count = (status: number): number => answers.filter((answer) => answer.status === status).length
  assert.equal(count(401) + count(429), 40)
  assert.ok(count(401) >= 1 && count(401) <= 20, `${count(401)} guesses of a password`)
  assert.ok(count(429) >= 20, `${count(429)} told to wait`)
})

test('the upstream may be a unix socket', { timeout }, async (t) => {
  const { get } = await startSite(t, undefined, (folder) => ({ path: join(folder, 'api.sock') }))
  await followLinks(get, BASIC)
})

test('the variant with a token is right as well', { timeout }, async (t) => {
  const { get } = await startSite(t, (conf) =>
    conf
      .replaceAll(/^( *)#(\S.*mtg_reader.*)$/gm, '$1$2')
      .replaceAll(/^ *auth_basic.*$/gm, '')
      .replace('CHANGE-openssl-rand-hex-24', TOKEN),
  )
  assert.equal((await get('/proxy/stats', `Bearer ${TOKEN}`)).status, 200)
  for (const authorization of [undefined, BASIC, `Bearer ${TOKEN}0`, 'Bearer CHANGE-openssl-rand-hex-24'])
    assert.equal((await get('/proxy/stats', authorization)).status, 401, String(authorization))
})
