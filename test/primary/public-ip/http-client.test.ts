import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, LookupFunction } from 'node:net'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'

import { httpGet } from '#primary/http-client'

const timeout = 20_000
const LIMITS = { timeoutMs: 10_000, maxBodyBytes: 1000 }
const read = (name: string): string =>
  readFileSync(new URL(`../../fixtures/${name}`, import.meta.url), 'utf8')
const CA = read('front-site-cert.pem')

async function start(t: TestContext, answer: RequestListener, secure = false): Promise<string> {
  const server = secure
    ? createHttpsServer({ key: read('front-site-key.pem'), cert: CA }, answer)
    : createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // listening on TCP
  return `${secure ? 'https' : 'http'}://127.0.0.1:${port}`
}

test('status, headers and body come back whatever the status is', { timeout }, async (t) => {
  const url = await start(t, (request, response) => {
    response.writeHead(404, { etag: '"1"' }).end(`${request.url} ${String(request.headers['x-test'])}`)
  })
  const { status, headers, body } = await httpGet(`${url}/a?b`, { ...LIMITS, headers: { 'x-test': 'yes' } })
  assert.deepEqual([status, headers.etag, body.toString()], [404, '"1"', '/a?b yes'])
})

test('a body of the largest size passes, one byte more does not', { timeout }, async (t) => {
  const url = await start(t, (request, response) => response.end('x'.repeat(Number(request.url?.slice(1)))))
  assert.equal((await httpGet(`${url}/1000`, LIMITS)).body.length, 1000)
  await assert.rejects(httpGet(`${url}/1001`, LIMITS), /cannot get .*: the answer is larger than 1000 bytes/)
})

test('an answer that never ends is cut by the timeout, a request by its signal', { timeout }, async (t) => {
  const url = await start(t, (_, response) => void response.write('x'))
  await assert.rejects(httpGet(url, { ...LIMITS, timeoutMs: 100 }), /cannot get .*: timed out after 100 ms/)
  const stop = new AbortController()
  const pending = httpGet(url, { ...LIMITS, signal: stop.signal })
  stop.abort()
  await assert.rejects(pending, /cannot get/)
})

test('redirects are followed, but not for ever', { timeout }, async (t) => {
  const url = await start(t, (request, response) => {
    const left = Number(request.url?.slice(1))
    if (left === 0) response.end('here')
    else response.writeHead(302, { location: `/${left - 1}` }).end()
  })
  assert.equal((await httpGet(`${url}/3`, LIMITS)).body.toString(), 'here')
  await assert.rejects(httpGet(`${url}/4`, LIMITS), /more than 3 redirects/)
})

test('TLS is checked, and never left by a redirect', { timeout }, async (t) => {
  let plainRequests = 0
  const plain = await start(t, (_, response) => {
    plainRequests += 1
    response.end('plain')
  })
  const secure = await start(
    t,
    (request, response) => {
      if (request.url === '/out') response.writeHead(301, { location: plain }).end()
      else response.end('secure')
    },
    true,
  )
  assert.equal((await httpGet(secure, { ...LIMITS, ca: CA })).body.toString(), 'secure')
  await assert.rejects(httpGet(secure, LIMITS), /self-signed certificate/)
  await assert.rejects(httpGet(`${secure}/out`, { ...LIMITS, ca: CA }), /redirected to a place without TLS/)
  assert.equal(plainRequests, 0)
})

test('a host without an address of the wanted family is not reached', { timeout }, async (t) => {
  const url = await start(t, (_, response) => response.end('x'))
  assert.equal((await httpGet(url, { ...LIMITS, family: 4 })).status, 200)
  await assert.rejects(httpGet(url, { ...LIMITS, family: 6 }), /127\.0\.0\.1 is not an IPv6 address/)
})

test('other schemes and addresses that refuse are errors with the address', { timeout }, async () => {
  await assert.rejects(httpGet('ftp://127.0.0.1/', LIMITS), /cannot get ftp:.*: ftp: is not spoken here/)
  await assert.rejects(httpGet('http://127.0.0.1:1/', LIMITS), /cannot get http:.*ECONNREFUSED/)
})

test('the host is resolved by the lookup that is given', { timeout }, async (t) => {
  const url = new URL(await start(t, (request, response) => response.end(request.headers.host)))
  const asked: string[] = []
  const lookup: LookupFunction = (host, { all }, done) => {
    asked.push(host)
    if (all === true) done(null, [{ address: '127.0.0.1', family: 4 }])
    else done(null, '127.0.0.1', 4)
  }
  const { body } = await httpGet(`http://site.example:${url.port}/`, { ...LIMITS, lookup })
  assert.equal(body.toString(), `site.example:${url.port}`)
  assert.deepEqual(asked, ['site.example'])
  const fails: LookupFunction = (_, __, done) => done(new Error('cannot resolve it'), [])
  await assert.rejects(httpGet(`http://site.example:${url.port}/`, { ...LIMITS, lookup: fails }), {
    message: /cannot resolve it/,
  })
})
