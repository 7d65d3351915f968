import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Resolver } from '#shared/dial/resolver'
import { findFreePort } from '../../../support/free-port.ts'
import { addressRecord, encodeReply, startDnsServer } from '../../../support/dns-server.ts'
import { connectTo, createCounter, LIVENESS_MS } from './support.ts'

const LIMIT = { timeout: LIVENESS_MS }

test('every question comes from another port with another id', LIMIT, async (t) => {
  const server = await startDnsServer(t, ({ name }) => ({ answers: [addressRecord(name, '192.0.2.1')] }))
  const resolver = connectTo(t, server, 'udp')
  const names = Array.from({ length: 40 }, (_, at) => `host-${at}.example`)
  await Promise.all(names.map((name) => resolver.resolve(name, 4)))
  // Random numbers may meet once in a while.
  assert.ok(new Set(server.asked.map(({ id }) => id)).size >= 38)
  assert.ok(new Set(server.asked.map(({ port }) => port)).size >= 38)
})

test('forged answers are ignored, and the right one behind them is taken', LIMIT, async (t) => {
  const forged = { answers: [addressRecord('site.example', '203.0.113.66')] }
  const server = await startDnsServer(t, (asked) => {
    const send = (message: Buffer): void => server.sendDatagram(message, asked.port)
    send(encodeReply({ ...asked, id: asked.id ^ 1 }, forged))
    send(encodeReply({ ...asked, name: 'other.example' }, forged))
    send(encodeReply({ ...asked, type: 'TXT' }, forged))
    send(Buffer.from('no DNS at all'))
    send(Buffer.alloc(0))
    return { answers: [addressRecord(asked.name, '192.0.2.1')] }
  })
  assert.deepEqual(await connectTo(t, server, 'udp').resolve('site.example', 4), ['192.0.2.1'])
})

test('a lost datagram is sent once more, from another port with another id', LIMIT, async (t) => {
  const seen = Promise.withResolvers<void>()
  const server = await startDnsServer(t, ({ name }) => {
    if (server.asked.length > 1) return { answers: [addressRecord(name, '192.0.2.1')] }
    seen.resolve()
    return null
  })
  const resolver = connectTo(t, server, 'udp')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const answer = resolver.resolve('site.example', 4)
  await seen.promise
  t.mock.timers.tick(1500)
  assert.deepEqual(await answer, ['192.0.2.1'])
  const [first, second] = server.asked
  assert.equal(server.asked.length, 2)
  assert.notEqual(first?.port, second?.port)
  assert.notEqual(first?.id, second?.id)
})

test('an answer that is merely late is taken although the question was sent again', LIMIT, async (t) => {
  const again = Promise.withResolvers<void>()
  const seen = Promise.withResolvers<void>()
  const server = await startDnsServer(t, async ({ name }) => {
    if (server.asked.length > 1) {
      again.resolve()
      return null
    }
    seen.resolve()
    await again.promise
    return { answers: [addressRecord(name, '192.0.2.1')] }
  })
  const resolver = connectTo(t, server, 'udp')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const answer = resolver.resolve('site.example', 4)
  await seen.promise
  t.mock.timers.tick(1500)
  assert.deepEqual(await answer, ['192.0.2.1'])
})

test('an answer that does not fit is asked for again over TCP', LIMIT, async (t) => {
  const addresses = Array.from({ length: 40 }, (_, at) => `192.0.2.${at + 1}`)
  const server = await startDnsServer(t, ({ name, type, transport }) => {
    if (transport === 'udp') return { truncated: true }
    return type === 'A' ? { answers: addresses.map((address) => addressRecord(name, address)) } : {}
  })
  const { counter, counted } = createCounter()
  const resolver = connectTo(t, server, 'udp', { counter })
  assert.deepEqual(await resolver.resolve('large.example'), addresses.slice(0, 16))
  assert.deepEqual(counted.toSorted(), ['tcp no-address', 'tcp ok', 'udp truncated', 'udp truncated'])
  // Both families had one connection, which is not kept.
  assert.equal(server.accepted.tcp, 1)
})

test('an answer over TCP that is cut too is a failure', LIMIT, async (t) => {
  const server = await startDnsServer(t, () => ({ truncated: true }))
  await assert.rejects(connectTo(t, server, 'udp').resolve('large.example'), { message: /incomplete/ })
})

test('a server that is not there is noticed at once, and named', LIMIT, async (t) => {
  const port = await findFreePort()
  const resolver = new Resolver({ kind: 'udp', host: '127.0.0.1', port })
  const { counter, counted } = createCounter()
  const counting = new Resolver({ kind: 'udp', host: '127.0.0.1', port }, { counter })
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await assert.rejects(resolver.resolve('site.example'), {
    code: 'unresolved',
    message: new RegExp(`^cannot resolve site.example: udp://127.0.0.1:${port}: .*ECONNREFUSED`),
  })
  await assert.rejects(counting.resolve('site.example', 4))
  assert.deepEqual(counted, ['udp failed'])
})
