import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { connectFakeTls } from '../support/faketls-client.ts'
import type { ConfigOverrides, TestProxy } from '../support/proxy.ts'
import { startWorld } from '../end-to-end/world.ts'
import { BASIC, startStatsNginx, type Get } from './support/stats-nginx.ts'

const timeout = 120_000
const TOKEN = 'c0ffee'.repeat(8)

interface Site {
  proxy: TestProxy
  secret: string
  get: Get
}

/** Our proxy behind the file as it is shipped. */
async function startSite(
  t: TestContext,
  change?: (conf: string) => string,
  upstream: (folder: string) => ConfigOverrides['apiBindTo'] = () => ({ host: '127.0.0.1', port: 0 }),
): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'mtg-multi-api-'))
  const config: ConfigOverrides = { apiBindTo: upstream(folder) ?? null, apiPathPrefix: '/proxy' }
  const { proxy, secret } = await startWorld(t, { config })
  // Behind the proxy's own end, which asks its API a last time.
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return { proxy, secret, get: await startStatsNginx(t, proxy.running.apiAddress!, change) }
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
  // What a thread has counted is seen with its next publication: until then the answers could differ.
  const direct = await proxy.statsWhen(({ users }) => users['alice']?.last_seen !== null)

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
  const beganMs = performance.now()
  const answers = await Promise.all(Array.from({ length: 40 }, () => get('/proxy/stats', 'Basic eDp4')))
  const count = (status: number): number => answers.filter((answer) => answer.status === status).length
  assert.equal(count(401) + count(429), 40)
  // One, ten at once, and five for each second that all of it took.
  const allowed = 1 + 10 + Math.ceil((5 * (performance.now() - beganMs)) / 1000)
  assert.ok(count(401) >= 1 && count(401) <= allowed, `${count(401)} guesses of a password, of ${allowed}`)
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
