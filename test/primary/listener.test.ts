import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import net, { connect, type Server, type Socket } from 'node:net'
import { syncBuiltinESMExports } from 'node:module'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import { Listeners, type ListenerEvents } from '#primary/listener'
import type { HostPort } from '#shared/dc'
import { OperatorError } from '#shared/errors'
import { findFreePort } from '../support/free-port.ts'
import { LIVENESS_MS } from '../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS }
const OPTIONS = { backlog: 16 }
const ANY: HostPort = { host: '127.0.0.1', port: 0 }

interface Recorded extends ListenerEvents {
  sockets: Socket[]
  acceptErrors: number
  lines: [Record<string, unknown>, string][]
  nextSocket: () => Promise<Socket>
}

function record(t: TestContext): Recorded {
  const sockets: Socket[] = []
  const waiting: ((socket: Socket) => void)[] = []
  const lines: Recorded['lines'] = []
  // `Listeners` calls nothing of a logger but `warn` with fields and a message.
  const log = { warn: (fields: Record<string, unknown>, message: string) => lines.push([fields, message]) }
  const recorded: Recorded = {
    sockets,
    acceptErrors: 0,
    lines,
    log: log as unknown as Logger,
    onAcceptError: () => (recorded.acceptErrors += 1),
    onSocket: (socket) => {
      t.after(() => socket.destroy())
      sockets.push(socket)
      waiting.shift()?.(socket)
    },
    nextSocket: () => new Promise((resolve) => waiting.push(resolve)),
  }
  return recorded
}

function bind(t: TestContext, addresses: readonly HostPort[]): Listeners {
  const listeners = Listeners.bind(addresses, OPTIONS)
  t.after(() => listeners.close())
  return listeners
}

function dial(t: TestContext, { host, port }: HostPort): Socket {
  const socket = connect({ host, port })
  socket.on('error', () => {})
  t.after(() => socket.destroy())
  return socket
}

async function isRefused(t: TestContext, address: HostPort): Promise<boolean> {
  const socket = dial(t, address)
  return Promise.race([
    once(socket, 'connect').then(() => false),
    new Promise<boolean>((r) => socket.once('error', () => r(true))),
  ])
}

test('addresses are taken before anybody can connect, with the ports the system chose', LIMIT, async (t) => {
  const listeners = bind(t, [ANY, ANY])
  const [first, second] = listeners.addresses
  assert.ok(first && second)
  assert.notEqual(first.port, second.port)
  assert.ok(first.port > 0)
  assert.equal(await isRefused(t, first), true)
})

test('every address accepts, and sockets come paused, half-open and unread', LIMIT, async (t) => {
  const listeners = bind(t, [ANY, ANY])
  const events = record(t)
  await listeners.listen(events)
  for (const address of listeners.addresses) {
    const next = events.nextSocket()
    dial(t, address).end('early')
    const socket = await next
    assert.equal(socket.isPaused(), true)
    assert.equal(socket.allowHalfOpen, true)
    for (let i = 0; i < 10; i++) await new Promise(setImmediate)
    assert.equal(socket.bytesRead, 0)
    socket.resume()
    assert.equal(String((await once(socket, 'data'))[0]), 'early')
  }
})

test('a taken address is an error that names it, and frees those taken with it', LIMIT, async (t) => {
  const other = bind(t, [ANY])
  await other.listen(record(t))
  const [taken] = other.addresses
  assert.ok(taken)
  assert.throws(
    () => Listeners.bind([{ host: '127.0.0.2', port: taken.port }, taken], OPTIONS),
    (error) => {
      assert.ok(error instanceof OperatorError)
      assert.match(
        error.message,
        new RegExp(
          `^cannot start proxy on 127\\.0\\.0\\.1:${taken.port}: address already in use; end the program that listens there, or change bind-to$`,
        ),
      )
      return true
    },
  )
  const freed = bind(t, [{ host: '127.0.0.2', port: taken.port }])
  await freed.listen(record(t)) // would fail if it were still taken
})

test(
  'of two that took one address at the same moment the second is told when it listens',
  LIMIT,
  async (t) => {
    const first = bind(t, [ANY])
    // Linux lets both take it as long as neither listens.
    const second = bind(t, first.addresses)
    await first.listen(record(t))
    await assert.rejects(second.listen(record(t)), {
      name: 'OperatorError',
      message: /: address already in use; /,
    })
  },
)

test('an address that is not of this machine is an error that names it', () => {
  assert.throws(() => Listeners.bind([{ host: '192.0.2.1', port: 0 }], OPTIONS), {
    name: 'OperatorError',
    message: /^cannot start proxy on 192\.0\.2\.1:0: address not available; no network of this host has it/,
  })
})

test('closing ends accepting but no connection, at any time, twice', LIMIT, async (t) => {
  const never = bind(t, [ANY])
  never.close()
  never.close()
  const listeners = bind(t, [ANY])
  const events = record(t)
  await listeners.listen(events)
  const [address] = listeners.addresses
  assert.ok(address)
  const next = events.nextSocket()
  const client = dial(t, address)
  const socket = await next
  listeners.close()
  listeners.close()
  assert.equal(await isRefused(t, address), true)
  socket.write('still here')
  assert.equal(String((await once(client, 'data'))[0]), 'still here')
})

test('accept errors are counted, logged once a second, and never end accepting', LIMIT, async (t) => {
  const servers: Server[] = []
  const createServer = net.createServer
  const { mock } = t.mock.method(net, 'createServer', (options: net.ServerOpts) => {
    servers.push(createServer(options))
    return servers.at(-1)
  })
  syncBuiltinESMExports()
  const listeners = bind(t, [ANY])
  mock.restore()
  syncBuiltinESMExports()
  const events = record(t)
  await listeners.listen(events)
  let nowMs = 5000
  t.mock.method(performance, 'now', () => nowMs)
  const fail = (): void => {
    servers[0]?.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }))
  }
  for (let i = 0; i < 100; i++) fail()
  assert.equal(events.acceptErrors, 100)
  const [address] = listeners.addresses
  assert.ok(address)
  assert.deepEqual(events.lines, [
    [{ bind: `127.0.0.1:${address.port}`, error: 'accept EMFILE' }, 'cannot accept a connection'],
  ])
  nowMs += 1000
  fail()
  assert.equal(events.lines.length, 2)
  const next = events.nextSocket()
  dial(t, address)
  await next
})

test('an error of one address is none of the others', LIMIT, async (t) => {
  const servers: Server[] = []
  const createServer = net.createServer
  const { mock } = t.mock.method(net, 'createServer', (options: net.ServerOpts) => {
    servers.push(createServer(options))
    return servers.at(-1)
  })
  syncBuiltinESMExports()
  const listeners = bind(t, [ANY, { host: '127.0.0.2', port: 0 }])
  mock.restore()
  syncBuiltinESMExports()
  const events = record(t)
  await listeners.listen(events)
  servers[0]?.emit('error', Object.assign(new Error('accept ECONNABORTED'), { code: 'ECONNABORTED' }))
  for (const address of listeners.addresses) {
    const next = events.nextSocket()
    dial(t, address)
    await next
  }
  assert.equal(events.acceptErrors, 1)
})

test('[::] takes IPv4 clients too', LIMIT, async (t) => {
  const listeners = bind(t, [{ host: '::', port: 0 }])
  const events = record(t)
  await listeners.listen(events)
  const { port } = listeners.addresses[0] ?? assert.fail('no address')
  for (const [host, remote] of [
    ['127.0.0.1', '::ffff:127.0.0.1'],
    ['::1', '::1'],
  ] as const) {
    const next = events.nextSocket()
    dial(t, { host, port })
    assert.equal((await next).remoteAddress, remote)
  }
})

for (const reserveOnly of [false, true]) {
  test(
    `0.0.0.0 and [::] of one port are one socket each, reserved only: ${reserveOnly}`,
    LIMIT,
    async (t) => {
      const port = await findFreePort()
      const addresses = [
        { host: '0.0.0.0', port },
        { host: '::', port },
      ]
      for (const order of [addresses, addresses.toReversed()]) {
        const listeners = Listeners.bind(order, { backlog: 16, reserveOnly })
        t.after(() => listeners.close())
        const events = record(t)
        await listeners.listen(events)
        assert.deepEqual(listeners.addresses, order)
        if (!reserveOnly) {
          const next = events.nextSocket()
          dial(t, { host: '127.0.0.1', port })
          assert.equal((await next).remoteAddress, '127.0.0.1')
        } else assert.equal(await isRefused(t, { host: '127.0.0.1', port }), true)
        listeners.close()
      }
    },
  )
}

test('a reserved address that somebody has is an error that names it', LIMIT, async (t) => {
  const other = bind(t, [ANY])
  await other.listen(record(t))
  assert.throws(() => Listeners.bind(other.addresses, { backlog: 16, reserveOnly: true }), {
    name: 'OperatorError',
    message: /^cannot start proxy on 127\.0\.0\.1:\d+: address already in use; end /,
  })
})

/** Opens files until one is left, which a client of its own takes, so that none is left to accept it with. */
const OUT_OF_DESCRIPTORS = `
import { closeSync, openSync } from 'node:fs'
import { connect } from 'node:net'
import { once } from 'node:events'
import { Listeners } from '#primary/listener'
const listeners = Listeners.bind([{ host: '127.0.0.1', port: 0 }], { backlog: 16 })
let accepted = 0
await listeners.listen({
  log: { warn() {} },
  onAcceptError() {},
  onSocket: (socket) => { accepted += 1; socket.destroy() },
})
const { port } = listeners.addresses[0]
const dial = () => connect(port, '127.0.0.1').on('error', () => {}).resume()
await once(dial(), 'close')
const files = []
try { for (;;) files.push(openSync('/dev/null')) } catch {}
closeSync(files.pop())
await once(dial(), 'close')
const acceptedWithout = accepted - 1
for (const file of files) closeSync(file)
await once(dial(), 'close')
console.log(JSON.stringify({ acceptedWithout, accepted }))
process.exit()
`

test(
  'a process without descriptors turns clients away at once, and accepts again when it has some',
  { ...LIMIT, skip: process.platform !== 'linux' && 'counts descriptors as Linux does' },
  async () => {
    const run = [
      '-c',
      'ulimit -n 64; exec "$0" --input-type=module -e "$1"',
      process.execPath,
      OUT_OF_DESCRIPTORS,
    ]
    const { stdout } = await promisify(execFile)('sh', run)
    assert.deepEqual(JSON.parse(stdout), { acceptedWithout: 0, accepted: 2 })
  },
)
