import assert from 'node:assert/strict'
import type { LookupFunction } from 'node:net'
import { test } from 'node:test'
import { httpGet } from '#primary/http-client'
import { createHttpDial } from '#primary/telegram/http-dial'
import { findFreePort } from '../../support/free-port.ts'
import { FRONT_SITE_CERTIFICATE, startHttpsSite } from '../../support/front-site.ts'
import { createRoute, DIRECT, socks5 } from '../../support/routes.ts'
import { startSocksServer } from '../../support/socks-server.ts'

const timeout = 30_000
const LIMITS = { timeoutMs: 10_000, maxBodyBytes: 4096, ca: FRONT_SITE_CERTIFICATE }

test('HTTPS goes through the proxies, by name, with the certificate checked', { timeout }, async (t) => {
  const site = await startHttpsSite({ body: 'a list' })
  t.after(() => site.close())
  const [dead, socks] = [await findFreePort(), await startSocksServer(t, { username: 'u', password: 'p' })]
  const account = { username: 'u', password: 'p' }
  const route = createRoute([socks5(dead), socks5(socks.port, account)])
  const dial = createHttpDial(route, 5000)
  for (let n = 0; n < 2; n++) {
    const { status, body } = await httpGet(`https://localhost:${site.port}/`, { ...LIMITS, dial })
    assert.deepEqual([status, String(body)], [200, 'a list'])
  }
  assert.deepEqual(socks.targets, [`localhost:${site.port}`, `localhost:${site.port}`])
  await assert.rejects(
    httpGet(`https://127.0.0.2:${site.port}/`, { ...LIMITS, dial }),
    /cannot get .*(altnames|ECONNREFUSED|refused)/,
  )
  await assert.rejects(httpGet(`https://localhost:${site.port}/`, { timeoutMs: 9000, maxBodyBytes: 9, dial }))
})

test('directly, and by a proxy that hangs only as long as the request may take', { timeout }, async (t) => {
  const site = await startHttpsSite({ body: 'a list' })
  t.after(() => site.close())
  const direct = createHttpDial(createRoute([DIRECT]), 5000)
  const url = `https://localhost:${site.port}/`
  assert.equal((await httpGet(url, { ...LIMITS, dial: direct })).status, 200)
  const socks = await startSocksServer(t, { fault: { at: 'request', how: 'hang' } })
  const dial = createHttpDial(createRoute([socks5(socks.port)]), 60_000)
  await assert.rejects(httpGet(url, { ...LIMITS, timeoutMs: 300, dial }), /timed out after 300 ms/)
})

test(
  'what is dialled directly is found by the lookup that is given: the host, or the proxy',
  { timeout },
  async (t) => {
    const site = await startHttpsSite({ body: 'a list' })
    t.after(() => site.close())
    const socks = await startSocksServer(t)
    const asked: string[] = []
    const lookup: LookupFunction = (host, { all }, done) => {
      asked.push(host)
      if (all === true) done(null, [{ address: '127.0.0.1', family: 4 }])
      else done(null, '127.0.0.1', 4)
    }
    const url = `https://example.com:${site.port}/`
    const direct = createHttpDial(createRoute([DIRECT]), 5000, lookup)
    assert.equal((await httpGet(url, { ...LIMITS, dial: direct })).status, 200)
    const proxy = createHttpDial(
      createRoute([{ ...socks5(socks.port), host: 'socks.example' }]),
      5000,
      lookup,
    )
    // The proxy gets the name as it is.
    assert.equal((await httpGet(`https://localhost:${site.port}/`, { ...LIMITS, dial: proxy })).status, 200)
    assert.deepEqual(asked, ['example.com', 'socks.example'])
    assert.deepEqual(socks.targets, [`localhost:${site.port}`])
  },
)
