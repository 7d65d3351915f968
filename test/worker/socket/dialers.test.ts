/** What every way of opening a connection has to do alike: directly and through SOCKS5, in threads and in the primary. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import type { UpstreamProxy } from '#shared/config'
import type { HostPort } from '#shared/dc'
import { dialThrough } from '#shared/dial/dial-through'
import { openThrough } from '#shared/dial/open-through'
import { Resolver } from '#shared/dial/resolver'
import type { Upstream } from '#shared/dial/route'
import { DialError } from '#shared/errors'
import type { ByteSocket } from '#worker/socket/byte-socket'
import { connectSocket } from '#worker/socket/connect-socket'
import { connectThrough } from '#worker/socket/connect-through'
import { WriteSlots } from '#worker/socket/write-slots'
import { startBlackHole } from '../../end-to-end/black-hole.ts'
import { findFreePort } from '../../support/free-port.ts'
import { createCountedRoute, DIRECT, socks5 } from '../../support/routes.ts'
import { LIVENESS_MS, RecordingSink } from '../../support/socket-pair.ts'
import {
  startSocksServer,
  type SocksAnswer,
  type SocksFault,
  type SocksServer,
} from '../../support/socks-server.ts'

const LIMIT = { timeout: 3 * LIVENESS_MS }
const SHORT_MS = 300
const GREETING = 'the target speaks first'
const never = new AbortController().signal

/** One connection, however it is read. */
interface Opened {
  /** Send this and a FIN, and give back all that comes. */
  exchange(text: string): Promise<string>
  destroy(): void
}

type Open = (address: HostPort, proxy: UpstreamProxy, signal: AbortSignal) => Promise<Opened>

const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

function openInThread(buffer: Buffer | null): Open {
  const slots = new WriteSlots()
  const options = {
    resolver: new Resolver(),
    timeoutMs: LIVENESS_MS,
    connect: (to: HostPort, own: AbortSignal) => connectSocket(to, slots, buffer, own),
  }
  return async (address, proxy, signal) =>
    wrapByteSocket(await connectThrough(address, proxy, options, signal))
}

function wrapByteSocket(socket: ByteSocket): Opened {
  return {
    exchange: async (text) => {
      const sink = new RecordingSink()
      socket.setSink(sink)
      socket.resume()
      socket.write(Buffer.from(text))
      socket.end()
      await sink.saw('ended')
      return String(sink.received)
    },
    destroy: () => socket.destroy(),
  }
}

const openInPrimary: Open = async (address, proxy, signal) => {
  const socket = await openThrough(proxy.kind === 'direct' ? null : proxy, address, signal)
  return {
    exchange: async (text) => {
      let received = ''
      socket.setEncoding('utf8').on('data', (chunk: string) => (received += chunk))
      socket.write(text)
      await new Promise((resolve) => {
        socket.on('close', resolve)
        socket.on('end', resolve)
        // Without allowHalfOpen the FIN ends it: the answer is there by then.
        const wait = (): void => void (received.endsWith(text) ? socket.end() : setImmediate(wait))
        wait()
      })
      return received
    },
    destroy: () => socket.destroy(),
  }
}

const OPENERS: readonly (readonly [string, Open])[] = [
  ['in a thread', openInThread(readBuffer)],
  ['in a thread without shared buffers', openInThread(null)],
  ['in the primary', openInPrimary],
]

/** Greets, echoes, ends when the client does. */
async function startTarget(t: TestContext): Promise<HostPort> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket: Socket) => {
    socket.on('error', () => {})
    socket.write(GREETING)
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port } // listening on TCP
}

interface Dialler {
  dial: (address: HostPort, options?: { timeoutMs?: number; signal?: AbortSignal }) => Promise<Opened>
  /** Of the first way. */
  failures: () => number
}

function createDialler(open: Open, proxies: readonly UpstreamProxy[]): Dialler {
  const { route, registry } = createCountedRoute(proxies)
  return {
    dial: async (address, { timeoutMs = LIVENESS_MS, signal = never } = {}) => {
      const { connection } = await dialThrough<Opened>({
        route,
        addresses: [address],
        timeoutMs,
        signal,
        health: null,
        open: (to, { proxy }: Upstream, own) => open(to, proxy, own),
        discard: (late) => late.destroy(),
      })
      return connection
    },
    failures: () => registry.list(0)[0]?.failures ?? 0,
  }
}

for (const [place, open] of OPENERS) {
  for (const way of ['directly', 'through SOCKS5', 'through SOCKS5 with credentials'] as const) {
    const create = async (t: TestContext): Promise<Dialler & { socks: SocksServer | null }> => {
      const account = way.endsWith('credentials') ? { username: 'anna', password: 'hunter2' } : {}
      const socks = way === 'directly' ? null : await startSocksServer(t, account)
      const proxy = socks === null ? DIRECT : socks5(socks.port, account)
      return { ...createDialler(open, [proxy]), socks }
    }

    test(`${way}, ${place}: bytes go both ways to the end`, LIMIT, async (t) => {
      const { dial, socks } = await create(t)
      const target = await startTarget(t)
      const opened = await dial(target)
      t.after(() => opened.destroy())
      const text = 'x'.repeat(300_000)
      assert.ok((await opened.exchange(text)) === GREETING + text)
      if (socks !== null) assert.deepEqual(socks.targets, [`127.0.0.1:${target.port}`])
    })

    test(`${way}, ${place}: a target that refuses is that, and no fault of the way`, LIMIT, async (t) => {
      const { dial, failures } = await create(t)
      const target = { host: '127.0.0.1', port: await findFreePort() }
      await assert.rejects(dial(target), (error) => {
        assert.ok(error instanceof DialError)
        assert.equal(error.code, 'refused')
        assert.ok(error.message.includes(`127.0.0.1:${target.port}`), error.message)
        return true
      })
      assert.equal(failures(), 0)
    })

    test(`${way}, ${place}: a target that keeps silent ends with the time limit`, LIMIT, async (t) => {
      const { dial, socks } = await create(t)
      const hole = await startBlackHole(t)
      const target = { host: '127.0.0.1', port: hole.port }
      await assert.rejects(dial(target, { timeoutMs: SHORT_MS }), { code: 'timeout' })
      if (socks !== null) await waitEmpty(socks)
    })

    test(`${way}, ${place}: a client that leaves takes the dial along`, LIMIT, async (t) => {
      const { dial, socks } = await create(t)
      const hole = await startBlackHole(t)
      const client = new AbortController()
      const dialled = dial({ host: '127.0.0.1', port: hole.port }, { signal: client.signal })
      const left = assert.rejects(dialled, { code: 'aborted' })
      if (socks !== null) await waitFor(() => socks.targets.length === 1)
      client.abort(new DialError('aborted', 'gone'))
      await left
      if (socks !== null) await waitEmpty(socks)
      await assert.rejects(dial(await startTarget(t), { signal: AbortSignal.abort() }), { code: 'aborted' })
    })
  }
}

/** What the server does, what is said of it, and whether it takes the whole time. */
const FAULTS: readonly (readonly [SocksAnswer, SocksFault, 'upstream' | 'timeout', RegExp])[] = [
  ...(['greeting', 'credentials', 'request'] as const).flatMap((at) => [
    [at, 'hang', 'timeout', /timed out after 300 ms/] as const,
    [at, 'first-byte', 'timeout', /timed out after 300 ms/] as const,
    [at, 'close', 'upstream', new RegExp(`closed the connection during the ${at}`)] as const,
    [at, 'reset', 'upstream', new RegExp(`closed the connection during the ${at}`)] as const,
    [at, 'garbage', 'upstream', /does not speak SOCKS5|broke the protocol/] as const,
  ]),
  ['request', 'drip', 'timeout', /timed out after 300 ms/],
  ['request', Buffer.of(5, 1, 0, 1, 0, 0, 0, 0, 0, 0), 'upstream', /general failure/],
  ['request', Buffer.of(5, 2), 'upstream', /not allowed/],
]

for (const [place, open] of OPENERS) {
  // A third of them wait for their limit: all at once.
  suite(`faults of a server, ${place}`, { concurrency: true }, () => {
    for (const [at, how, code, reason] of FAULTS) {
      const name = Buffer.isBuffer(how) ? `answer ${how.toString('hex')}` : how
      test(`a server that does "${name}" at the ${at} fails the dial, ${place}`, LIMIT, async (t) => {
        const account = { username: 'anna', password: 'hunter2' }
        const socks = await startSocksServer(t, { ...account, fault: { at, how } })
        const { dial, failures } = createDialler(open, [socks5(socks.port, account)])
        const timeoutMs = code === 'timeout' ? SHORT_MS : LIVENESS_MS
        await assert.rejects(dial(await startTarget(t), { timeoutMs }), (error) => {
          assert.ok(error instanceof DialError)
          assert.equal(error.code, code)
          assert.match(error.message, reason)
          assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${socks.port}`))
          const causes = `${error.stack} ${String(error.cause)} ${JSON.stringify(error)}`
          assert.doesNotMatch(causes, /anna|hunter2/)
          return true
        })
        assert.equal(failures(), 1, 'the breaker is told')
        await waitEmpty(socks)
      })
    }
  })

  test(
    `wrong credentials, none where some are due, and a dead server are the way's fault, ${place}`,
    LIMIT,
    async (t) => {
      const socks = await startSocksServer(t, { username: 'anna', password: 'hunter2' })
      const target = await startTarget(t)
      const cases = [
        [socks5(socks.port, { username: 'anna', password: 'hunter3' }), /authentication refused/],
        [socks5(socks.port), /wants a user name and a password/],
        [socks5(await findFreePort()), /ECONNREFUSED/],
        [socks5(1080, { host: 'no-such-host.invalid' }), /no-such-host\.invalid/],
      ] as const
      for (const [proxy, reason] of cases) {
        const { dial, failures } = createDialler(open, [proxy])
        await assert.rejects(dial(target), (error) => {
          assert.ok(error instanceof DialError)
          assert.equal(error.code, 'upstream')
          assert.match(error.message, reason)
          assert.doesNotMatch(error.message, /hunter/)
          return true
        })
        assert.equal(failures(), 1)
      }
    },
  )

  test(
    `answers cut at every byte, all kinds of addresses, and bytes behind the reply, ${place}`,
    LIMIT,
    async (t) => {
      const target = await startTarget(t)
      const behindReply = Buffer.from('early bird ')
      for (const bound of [
        Buffer.of(1, 127, 0, 0, 1, 0, 80),
        Buffer.concat([Buffer.of(4), Buffer.alloc(18, 1)]),
        Buffer.concat([Buffer.of(3, 255), Buffer.alloc(255 + 2, 'n')]),
        Buffer.of(3, 0, 0, 80),
      ]) {
        for (const splits of [false, true]) {
          const socks = await startSocksServer(t, {
            username: 'u',
            password: 'p',
            splits,
            bound,
            behindReply,
          })
          const { dial } = createDialler(open, [socks5(socks.port, { username: 'u', password: 'p' })])
          const opened = await dial(target)
          assert.equal(await opened.exchange('hello'), `${String(behindReply)}${GREETING}hello`)
          opened.destroy()
        }
      }
    },
  )

  test(
    `a server is found by its name, and a target's name goes to it as it is, ${place}`,
    LIMIT,
    async (t) => {
      const socks = await startSocksServer(t)
      const { port } = await startTarget(t)
      const { dial } = createDialler(open, [socks5(socks.port, { host: 'localhost' })])
      const opened = await dial({ host: 'localhost', port })
      assert.equal(await opened.exchange('hello'), `${GREETING}hello`)
      assert.deepEqual(socks.targets, [`localhost:${port}`])
      opened.destroy()
    },
  )
}

async function waitFor(condition: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + LIVENESS_MS
  while (!condition()) {
    assert.ok(performance.now() < giveUpMs, 'never came to be')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Nobody leaves a connection behind at a server. */
async function waitEmpty(socks: SocksServer): Promise<void> {
  await waitFor(() => socks.open === 0)
}
