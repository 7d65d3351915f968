import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { HostPort } from '#shared/dc'
import type { DcProbeResult, SocksUpstream } from '#shared/dc-probe'
import { buildReqPqMulti, checkResPq } from '#worker/tasks/req-pq'
import probeDc from '#worker/tasks/probe-dc'

import { startTelegramDc } from '../../support/telegram-dc.ts'
import { startFakeDc } from './fake-dc.ts'
import { startFakeSocks } from './fake-socks.ts'
import { findFreePort } from '../../support/free-port.ts'

/** Liveness: a probe on the loopback takes milliseconds. */
const LIMIT_MS = 20_000
const timeout = LIMIT_MS

function probe(
  addresses: readonly HostPort[],
  options: { upstream?: SocksUpstream; budgetMs?: number } = {},
): Promise<DcProbeResult> {
  return probeDc({
    dc: 4,
    addresses,
    upstream: options.upstream ?? null,
    budgetMs: options.budgetMs ?? 10_000,
  })
}

test('a request is the packet of the specification', () => {
  const nonce = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')
  const packet = buildReqPqMulti(nonce, 0x1122334455667788n, Buffer.of(0xaa, 0xbb))
  assert.equal(
    packet.toString('hex'),
    '2a000000' +
      '0000000000000000' +
      '8877665544332211' +
      '14000000' +
      'f18e7ebe' +
      nonce.toString('hex') +
      'aabb',
  )
})

test('an answer is complete only with its last byte', () => {
  const nonce = Buffer.alloc(16, 9)
  const packet = Buffer.alloc(4 + 84)
  packet.writeUInt32LE(84, 0)
  packet.writeUInt32LE(0x05162463, 24)
  nonce.copy(packet, 28)
  for (let length = 0; length < packet.length; length++)
    assert.equal(checkResPq(packet.subarray(0, length), nonce), 'incomplete')
  assert.deepEqual(checkResPq(packet, nonce), { ok: true })
})

test('a data centre of the test library answers the probe', { timeout }, async (t) => {
  const dc = await startTelegramDc({ dcId: 4 })
  t.after(() => dc.close())
  const result = await probe([dc.address])
  assert.ok(result.ok && result.rttMs > 0)
  assert.deepEqual(result.address, dc.address)
  assert.deepEqual(dc.frames, [{ dc: 4 }])
  assert.deepEqual(dc.faults, [])
})

test('an address that refuses is followed by the next one', { timeout }, async (t) => {
  const dc = await startFakeDc(t)
  const closed = { host: '127.0.0.1', port: await findFreePort() }
  const result = await probe([closed, dc.address])
  assert.deepEqual(result.ok && result.address, dc.address)
  assert.deepEqual(dc.dcs, [4])
})

test('whoever answers, but not as a data centre, is told from one', { timeout }, async (t) => {
  const cases = [
    ['other-nonce', 'the answer has another nonce'],
    ['garbage', 'the answer is no resPQ'],
    ['transport-error', 'transport error -404'],
    ['hang-up', 'closed without an answer'],
  ] as const
  for (const [manner, reason] of cases) {
    const dc = await startFakeDc(t, manner)
    assert.deepEqual(await probe([dc.address]), {
      ok: false,
      reasons: [`rpc handshake to 127.0.0.1:${dc.address.port}: ${reason}`],
    })
  }
})

test('a web server in place of a data centre is told as such', () => {
  assert.deepEqual(checkResPq(Buffer.from('HTTP/1.1 400 Bad Request'), Buffer.alloc(16)), {
    ok: false,
    reason: 'not Telegram: what answers there does not speak MTProto',
  })
})

test('every address is named when none answers, and no address at all as well', { timeout }, async () => {
  const ports = [await findFreePort(), await findFreePort()]
  const result = await probe(ports.map((port) => ({ host: '127.0.0.1', port })))
  assert.deepEqual(result, {
    ok: false,
    reasons: ports.map((port) => `tcp connect to 127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}`),
  })
  assert.deepEqual(await probe([]), { ok: false, reasons: ['no addresses to call'] })
})

test('a silent data centre ends with the budget', { timeout }, async (t) => {
  const dc = await startFakeDc(t, 'silence')
  // It must do for the connection, or that is what has failed.
  assert.deepEqual(await probe([dc.address], { budgetMs: 1000 }), {
    ok: false,
    reasons: [`rpc handshake to 127.0.0.1:${dc.address.port}: no answer within 1000 ms`],
  })
})

test(
  'a probe goes through a SOCKS5 server with credentials, which no error shows',
  { timeout },
  async (t) => {
    const dc = await startFakeDc(t)
    const socks = await startFakeSocks(t, 'anna', 'hunter2')
    const upstream = { host: '127.0.0.1', port: socks.port, username: 'anna', password: 'hunter2' }
    const result = await probe([dc.address], { upstream })
    assert.ok(result.ok, JSON.stringify(result))
    assert.deepEqual(socks.targets, [`127.0.0.1:${dc.address.port}`])

    const wrong = await probe([dc.address], { upstream: { ...upstream, password: 'hunter3' } })
    assert.ok(!wrong.ok)
    assert.equal(dc.connectionCount, 1)
    assert.match(
      wrong.reasons.join(),
      /^tcp connect to 127\.0\.0\.1:\d+: proxy 127\.0\.0\.1:\d+: .*uthentication/,
    )
    assert.doesNotMatch(wrong.reasons.join(), /hunter|anna/)
  },
)
