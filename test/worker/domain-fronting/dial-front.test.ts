import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { HostPort } from '#shared/dc'
import type { Resolver } from '#shared/dial/resolver'
import { DialError } from '#shared/errors'
import { Clock } from '#worker/clock'
import { dialFront, type FrontDialer } from '#worker/domain-fronting/dial-front'
import { LoopGuard } from '#shared/loop-guard'
import { connectSocket } from '#worker/socket/connect-socket'
import { createRoute } from '../../support/routes.ts'
import { CountedSlots, LIVENESS_MS, RecordingSink } from '../../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS }
const signal = new AbortController().signal

async function startSite(t: TestContext): Promise<number> {
  const server = createServer((socket) => socket.end('the site'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  // A listening TCP server has an AddressInfo, never a path.
  return (server.address() as AddressInfo).port
}

function createDialer(addresses: readonly string[], listening: readonly HostPort[]): FrontDialer {
  const resolve = (host: string): Promise<readonly string[]> =>
    host === 'site.example'
      ? Promise.resolve(addresses)
      : Promise.reject(new DialError('unresolved', `cannot resolve ${host}`))
  return {
    // `dialFront` asks nothing else of a resolver.
    resolver: { resolveWithin: resolve } as unknown as Resolver,
    guard: new LoopGuard(listening, []),
    clock: new Clock(),
    timeoutMs: LIVENESS_MS,
    route: createRoute(),
    connect: (address, _proxy, abort) => connectSocket(address, new CountedSlots(), null, abort),
  }
}

test('the site is reached by name, at the next address when the first refuses', LIMIT, async (t) => {
  const port = await startSite(t)
  const dialer = createDialer(['127.0.0.9', '127.0.0.1'], [])
  const { connection: socket, address } = await dialFront('site.example', port, dialer, signal)
  t.after(() => socket.destroy())
  assert.deepEqual(address, { host: '127.0.0.1', port })
  const sink = new RecordingSink()
  socket.setSink(sink)
  socket.resume()
  await sink.saw('ended')
  assert.equal(String(sink.received), 'the site')
})

test('a name that leads back to us is not dialled, even as one address of several', LIMIT, async (t) => {
  const port = await startSite(t)
  for (const addresses of [['127.0.0.1'], ['127.0.0.9', '127.0.0.1'], ['::ffff:127.0.0.1']]) {
    const dialer: FrontDialer = {
      ...createDialer(addresses, [{ host: '127.0.0.1', port }]),
      connect: () => assert.fail('dialled'),
    }
    await assert.rejects(dialFront('site.example', port, dialer, signal), (error) => {
      assert.ok(error instanceof DialError)
      assert.equal(error.code, 'loop')
      assert.match(error.message, /^site\.example: /)
      return true
    })
  }
})

test('a name that cannot be resolved, a refusal and a client that left are told apart', LIMIT, async (t) => {
  const port = await startSite(t)
  const dialer = createDialer(['127.0.0.9'], [])
  await assert.rejects(dialFront('nowhere.example', port, dialer, signal), { code: 'unresolved' })
  await assert.rejects(dialFront('site.example', port, dialer, signal), { code: 'refused' })
  await assert.rejects(dialFront('site.example', port, dialer, AbortSignal.abort()), { code: 'aborted' })
})
