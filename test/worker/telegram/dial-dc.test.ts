import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { formatHostPort, type DcTable, type HostPort } from '#shared/dc'
import { connectSocket } from '#worker/socket/connect-socket'
import { chooseDc, dialDc, type DcDialer } from '#worker/telegram/dial-dc'
import { createHealth, createRoute } from '../../support/routes.ts'
import { CountedSlots, LIVENESS_MS } from '../../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS }
const signal = new AbortController().signal

async function startDc(t: TestContext): Promise<HostPort> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  // A listening TCP server has an AddressInfo, never a path.
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

function createDialer(dcs: DcTable, changes: Partial<DcDialer> = {}): DcDialer & { dialled: string[] } {
  const dialled: string[] = []
  const route = createRoute()
  return {
    dcs,
    published: {},
    preferIp: 'prefer-ipv4',
    allowFallbackOnUnknownDc: false,
    timeoutMs: LIVENESS_MS,
    health: createHealth(),
    routeTo: () => route,
    connect: (address, _proxy, abort) => {
      dialled.push(address.host)
      return connectSocket(address, new CountedSlots(), null, abort)
    },
    ...changes,
    dialled,
  }
}

test('the data centre asked for is dialled, media ones by their number; an unknown one only by the operator’s leave', () => {
  const dcs: DcTable = { 2: [], 4: [], 203: [] }
  const strict = { dcs, allowFallbackOnUnknownDc: false }
  const lenient = { dcs, allowFallbackOnUnknownDc: true }
  const table: [number | null, number | null, number | null][] = [
    [4, 4, 4],
    [-4, -4, -4],
    [-203, -203, -203],
    [null, 2, 2],
    [9, null, 2],
    [-9, null, 2],
    [10_002, null, 2],
    [-32_768, null, 2],
  ]
  for (const [asked, expected, fallback] of table) {
    assert.equal(chooseDc(asked, strict), expected, `${asked}`)
    assert.equal(chooseDc(asked, lenient), fallback, `${asked} with fallback`)
  }
})

test(
  'a data centre whose first address refuses is reached at the next, and the refusing one goes last from then on',
  LIMIT,
  async (t) => {
    const dc = await startDc(t)
    const dead = { host: '127.0.0.9', port: dc.port }
    const dialer = createDialer({ 2: [dead, dc] })
    for (let round = 0; round < 4; round++) {
      const { socket, address, dc: number } = await dialDc(-2, dialer, signal)
      socket.destroy()
      assert.deepEqual([formatHostPort(address), number], [formatHostPort(dc), -2])
    }
    assert.ok(dialer.dialled.filter((host) => host === dead.host).length <= 1, dialer.dialled.join())
  },
)

test(
  'a refused address is tried again when no other is left, and is trusted again once it answers',
  LIMIT,
  async (t) => {
    const dc = await startDc(t)
    const dialer = createDialer({ 2: [dc] })
    dialer.health.reportFailure(formatHostPort(dc), 0)
    const { socket } = await dialDc(2, dialer, signal)
    socket.destroy()
    assert.equal(dialer.health.isDoubtful(formatHostPort(dc)), false)
  },
)

test('a data centre without addresses of the family wanted is an error that names it', LIMIT, async () => {
  const dialer = createDialer({ 2: [{ host: '::1', port: 443 }] }, { preferIp: 'only-ipv4' })
  await assert.rejects(dialDc(2, dialer, signal), {
    name: 'DialError',
    code: 'no-addresses',
    message: /DC 2/,
  })
  assert.deepEqual(dialer.dialled, [])
})

test(
  'when nothing answers the last failure names its address; a client that left ends the dial',
  LIMIT,
  async (t) => {
    const { port } = await startDc(t)
    const dialer = createDialer({ 2: [{ host: '127.0.0.9', port }] })
    await assert.rejects(dialDc(2, dialer, signal), {
      code: 'refused',
      message: new RegExp(`127\\.0\\.0\\.9:${port}`),
    })
    await assert.rejects(dialDc(2, dialer, AbortSignal.abort()), { code: 'aborted' })
  },
)

test('an address that never answers is left for the next after a quarter of a second', LIMIT, async (t) => {
  const dc = await startDc(t)
  const silent = { host: '127.0.0.9', port: 1 }
  const dialer = createDialer({ 2: [silent, dc] })
  let cancelled = false
  const connect: DcDialer['connect'] = (address, proxy, abort) =>
    address.port === dc.port
      ? dialer.connect(address, proxy, abort)
      : new Promise((_, reject) => {
          abort.addEventListener('abort', () => {
            cancelled = true
            reject(new Error('cancelled'))
          })
        })
  // Two dials: turn by turn one of them begins at the silent address.
  for (let round = 0; round < 2; round++) {
    const { socket, address } = await dialDc(2, { ...dialer, connect }, signal)
    socket.destroy()
    assert.equal(address.port, dc.port)
  }
  assert.ok(cancelled)
  assert.equal(dialer.health.isDoubtful(formatHostPort(silent)), true)
  assert.equal(dialer.health.isDoubtful(formatHostPort(dc)), false)
})
