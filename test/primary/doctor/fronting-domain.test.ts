import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { rootCertificates } from 'node:tls'

import { type CheckResult, runCheck } from '#primary/doctor/check'
import type { FrontTarget } from '#primary/doctor/front-targets'
import { checkFrontingDomains, type FrontingOptions } from '#primary/doctor/fronting-domain'

import { CERTIFICATE, startProxyHeaderSite, startTlsSite } from './tls-site.ts'
import { findFreePort } from '../../support/free-port.ts'

const timeout = 20_000
const NOW_MS = Date.UTC(2027, 0, 1)
const UNTIL = '2126-11-23'

function check(
  targets: readonly FrontTarget[],
  options: Partial<FrontingOptions> = {},
): Promise<CheckResult> {
  return runCheck(
    checkFrontingDomains({
      targets,
      resolve: async () => ['127.0.0.1'],
      route: null,
      proxyProtocol: false,
      nowMs: NOW_MS,
      ca: CERTIFICATE,
      ...options,
    }),
  )
}

const at = (port: number, serverName = 'example.com'): FrontTarget => ({ serverName, host: serverName, port })

test(
  'a site with TLS 1.3 and a certificate for its name is fine, hybrid key exchange or not',
  { timeout },
  async (t) => {
    for (const [ecdhCurve, group] of [
      ['X25519MLKEM768:X25519', 'X25519MLKEM768'],
      ['X25519', 'X25519'],
    ] as const) {
      const site = await startTlsSite(t, { ecdhCurve })
      const result = await check([at(site.port)])
      assert.deepEqual(result, {
        id: 'fronting-domain',
        title: 'Validate fronting domain connectivity',
        status: 'ok',
        lines: [
          {
            mark: 'ok',
            text: `example.com:${site.port} is reachable (TLSv1.3, ${group}, certificate until ${UNTIL})`,
          },
        ],
        advice: [],
      })
      assert.deepEqual(site.serverNames, ['example.com'])
    }
  },
)

test('a pinned site is asked for the host of the secret', { timeout }, async (t) => {
  const site = await startTlsSite(t)
  const { status, lines } = await check([
    { serverName: 'a.example.com', host: 'web', port: site.port },
    { serverName: 'other.test', host: 'web', port: site.port },
  ])
  assert.equal(status, 'fail')
  assert.deepEqual(
    lines.map((line) => [line.mark, line.text.replace(/ \(.*/, '')]),
    [
      ['ok', `web:${site.port} as a.example.com is reachable`],
      ['ok', `web:${site.port} as other.test is reachable`],
      [
        'fail',
        'the certificate is not for other.test, but for front.test, localhost, example.com, *.example.com, 127.0.0.1',
      ],
    ],
  )
  assert.deepEqual(site.serverNames.toSorted(), ['a.example.com', 'other.test'])
})

test('a certificate near its end, past it, or not trusted is said', { timeout }, async (t) => {
  const site = await startTlsSite(t)
  const faults = async (options: Partial<FrontingOptions>): Promise<unknown> => {
    const { status, lines } = await check([at(site.port)], options)
    return [status, ...lines.slice(1).map((line) => `${line.mark} ${line.text}`)]
  }
  assert.deepEqual(await faults({ nowMs: Date.UTC(2126, 10, 20) }), [
    'warn',
    `warn the certificate for example.com ends on ${UNTIL}`,
  ])
  const expired = await faults({ nowMs: Date.UTC(2126, 11, 1) })
  assert.match(
    String(expired),
    /^fail,fail the certificate for example\.com is valid from 20\d\d-.* to 2126-11-23$/,
  )
  // No authority but those of the browsers.
  assert.deepEqual(await faults({ ca: rootCertificates[0] ?? '' }), [
    'warn',
    'warn browsers do not trust the certificate for example.com: DEPTH_ZERO_SELF_SIGNED_CERT',
  ])
})

test('a site without TLS 1.3 differs from us, which is a warning', { timeout }, async (t) => {
  const site = await startTlsSite(t, { maxVersion: 'TLSv1.2' })
  const { status, lines } = await check([at(site.port)])
  assert.equal(status, 'warn')
  assert.equal(lines[1]?.text, 'example.com speaks TLSv1.2, but clients of ours see TLSv1.3')
})

test('a site that insists on a PROXY header gets one when the option is set', { timeout }, async (t) => {
  const port = await startProxyHeaderSite(t, await startTlsSite(t))
  assert.equal((await check([at(port)], { proxyProtocol: true })).status, 'ok')
  const without = await check([at(port)])
  assert.equal(without.status, 'fail')
})

test('a site that is not there, not TLS, or silent is a failure with advice', { timeout }, async (t) => {
  const mute = createServer(() => {}).listen(0, '127.0.0.1')
  await once(mute, 'listening')
  t.after(() => mute.close())
  const hangUp = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
  await once(hangUp, 'listening')
  t.after(() => hangUp.close())
  const portOf = (server: typeof mute): number => (server.address() as AddressInfo).port // listening on TCP

  const closed = await findFreePort()
  const refused = await check([at(closed)])
  assert.deepEqual(
    [refused.status, refused.lines[0]?.text],
    ['fail', `example.com:${closed}: 127.0.0.1:${closed}: connect ECONNREFUSED 127.0.0.1:${closed}`],
  )
  assert.match(refused.advice.join(), /\[domain-fronting\]/)

  const silent = await check([at(portOf(mute))], { budgetMs: 300 })
  assert.equal(silent.lines[0]?.text, `example.com:${portOf(mute)}: no answer within 300 ms`)

  const ended = await check([at(portOf(hangUp))])
  assert.equal(ended.status, 'fail')

  const unknown = await check([at(443)], { resolve: () => Promise.reject(new Error('cannot resolve it')) })
  assert.equal(unknown.lines[0]?.text, 'example.com:443: cannot resolve it')
})
