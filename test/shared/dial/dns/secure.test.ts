import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, test } from 'node:test'
import { Resolver } from '#shared/dial/resolver'
import { addressRecord, type Answerer, DNS_SERVER_CERT, startDnsServer } from '../../../support/dns-server.ts'
import { connectTo, fakeNow, fakeSystem, LIVENESS_MS, PATIENT, serverConfig } from './support.ts'

const LIMIT = { timeout: LIVENESS_MS }
const answer: Answerer = ({ name, type }) => ({
  answers: [addressRecord(name, type === 'A' ? '192.0.2.7' : '2001:db8::7')],
})

for (const kind of ['tls', 'https'] as const) {
  describe(`name server over ${kind}`, { timeout: 8 * LIVENESS_MS }, () => {
    test('one connection serves many questions at once and later', LIMIT, async (t) => {
      const server = await startDnsServer(t, answer)
      const resolver = connectTo(t, server, kind)
      const names = Array.from({ length: 50 }, (_, at) => `host-${at}.example`)
      await Promise.all(names.map((name) => resolver.resolve(name)))
      await resolver.resolve('later.example')
      assert.equal(server.accepted[kind], 1)
      if (kind === 'https') assert.deepEqual(new Set(server.httpVersions), new Set(['2.0']))
    })

    test('answers may come in another order than the questions', LIMIT, async (t) => {
      const second = Promise.withResolvers<void>()
      const server = await startDnsServer(t, async (asked) => {
        if (asked.name === 'first.example') await second.promise
        return {
          answers: [addressRecord(asked.name, asked.name === 'first.example' ? '192.0.2.1' : '192.0.2.2')],
        }
      })
      const resolver = connectTo(t, server, kind)
      const first = resolver.resolve('first.example', 4)
      assert.deepEqual(await resolver.resolve('second.example', 4), ['192.0.2.2'])
      second.resolve()
      assert.deepEqual(await first, ['192.0.2.1'])
    })

    test('a connection that the server has closed is replaced', LIMIT, async (t) => {
      const server = await startDnsServer(t, answer)
      const resolver = connectTo(t, server, kind)
      await resolver.resolve('a.example')
      for (const socket of server.sockets) socket.destroy()
      // At once, so that some find out only when they ask.
      assert.equal((await resolver.resolve('b.example')).length, 2)
      assert.equal(server.accepted[kind], 2)
    })

    test('a connection that dies with questions on it is a new one for them, once', LIMIT, async (t) => {
      const server = await startDnsServer(t, (asked) => {
        if (asked.name === 'a.example') return answer(asked)
        for (const socket of server.sockets) socket.destroy()
        return null
      })
      const resolver = connectTo(t, server, kind)
      await resolver.resolve('a.example')
      await assert.rejects(resolver.resolve('killer.example', 4), { code: 'unresolved' })
      assert.equal(server.askedFor('killer.example').length, 2)
    })

    test('a connection that is not used is closed', LIMIT, async (t) => {
      const server = await startDnsServer(t, answer)
      const resolver = connectTo(t, server, kind)
      t.mock.timers.enable({ apis: ['setTimeout'] })
      await resolver.resolve('a.example')
      const [socket] = server.sockets
      assert.ok(socket !== undefined)
      t.mock.timers.tick(10_000)
      await once(socket, 'close')
      assert.equal((await resolver.resolve('b.example')).length, 2)
    })

    test('after close the last answers still come, then the connection ends', LIMIT, async (t) => {
      const asked = Promise.withResolvers<void>()
      const go = Promise.withResolvers<void>()
      const server = await startDnsServer(t, async (question) => {
        asked.resolve()
        await go.promise
        return answer(question)
      })
      const resolver = connectTo(t, server, kind)
      const last = resolver.resolve('a.example')
      await asked.promise
      const [socket] = server.sockets
      resolver.close()
      go.resolve()
      assert.equal((await last).length, 2)
      if (socket?.destroyed === false) await once(socket, 'close')
    })

    test('a certificate of nobody we trust, or for somebody else, is an error', LIMIT, async (t) => {
      const server = await startDnsServer(t, () => assert.fail('asked'))
      const stranger = new Resolver(serverConfig(server, kind))
      await assert.rejects(stranger.resolve('a.example'), { message: /self-signed certificate/ })
      fakeSystem(t, ({ name, type }) => ({ answers: type === 'A' ? [addressRecord(name, '127.0.0.1')] : [] }))
      const other = new Resolver(serverConfig(server, kind, 'dns.other'), { ca: DNS_SERVER_CERT })
      await assert.rejects(other.resolve('a.example'), { message: /dns\.other:\d+: .*(altnames|Host)/ })
    })

    test(
      'a server with a name is looked up by the system, once, and again when it cannot be reached',
      LIMIT,
      async (t) => {
        const { pass } = fakeNow(t)
        const server = await startDnsServer(t, answer)
        let address = '127.0.0.1'
        const names = fakeSystem(t, ({ name, type }) => ({
          answers: type === 'A' ? [addressRecord(name, address)] : [],
        }))
        // The certificate is for this name; it is a public one, so that nothing but its own lookup goes to the system.
        const resolver = new Resolver(serverConfig(server, kind, 'front.test'), {
          ca: DNS_SERVER_CERT,
          ...PATIENT,
        })
        t.after(() => resolver.close())
        assert.equal((await resolver.resolve('a.example')).length, 2)
        for (const socket of server.sockets) socket.destroy()
        assert.equal((await resolver.resolve('b.example')).length, 2)
        assert.deepEqual(names, ['front.test'])

        server.close()
        await assert.rejects(resolver.resolve('c.example'), {
          code: 'unresolved',
          message: /front\.test:\d+/,
        })
        const moved = await startDnsServer(t, answer)
        assert.notEqual(moved.tlsPort, server.tlsPort)
        address = '127.0.0.2'
        await pass(6_000)
        await assert.rejects(resolver.resolve('c.example'), { message: /127\.0\.0\.2/ })
        assert.deepEqual(names, ['front.test', 'front.test'])
      },
    )

    test('a server whose name is not known is an error that says so', LIMIT, async (t) => {
      fakeSystem(t, () => ({}))
      const resolver = new Resolver({
        ...serverConfig(await startDnsServer(t, answer), kind),
        host: 'dns.nowhere',
      } as never)
      await assert.rejects(resolver.resolve('a.example'), {
        code: 'unresolved',
        message: /ENOTFOUND dns\.nowhere/,
      })
    })

    test('a server that accepts and says nothing is given up', LIMIT, async (t) => {
      const accepted = Promise.withResolvers<void>()
      const silent = createServer((socket) => {
        socket.on('error', () => {})
        accepted.resolve()
        t.after(() => socket.destroy())
      })
      silent.listen(0, '127.0.0.1')
      await once(silent, 'listening')
      t.after(() => silent.close())
      const { port } = silent.address() as { port: number } // a TCP server's
      const resolver = new Resolver(
        kind === 'tls' ? { kind, host: '127.0.0.1', port } : { kind, host: '127.0.0.1', port, path: '/' },
      )
      t.mock.timers.enable({ apis: ['setTimeout'] })
      const asking = resolver.resolve('a.example')
      asking.catch(() => {})
      await accepted.promise
      t.mock.timers.tick(5_000)
      await assert.rejects(asking, { code: 'unresolved' })
    })

    test('an answer to another question, or one too large, is an error', LIMIT, async (t) => {
      const server = await startDnsServer(t, (asked) =>
        asked.name === 'large.example' ? Buffer.alloc(20_000) : Buffer.from('no DNS at all, and long enough'),
      )
      const resolver = connectTo(t, server, kind)
      await assert.rejects(resolver.resolve('large.example'), { message: /20000|larger/ })
      if (kind === 'https')
        await assert.rejects(resolver.resolve('garbage.example'), { message: /another question/ })
    })
  })
}

test('over HTTP/1.1 whoever asks first is answered first, however many come behind', LIMIT, async (t) => {
  const resolver = connectTo(t, await startDnsServer(t, answer, { http1: true }), 'https over HTTP/1.1')
  const answered: number[] = []
  const ask = async (host: number): Promise<void> => {
    await resolver.resolve(`host-${host}.example`, 4)
    answered.push(host)
  }
  await Promise.all(Array.from({ length: 200 }, (_, host) => ask(host)))
  // Not quite in order: several are on their way at once.
  const last = Math.max(...Array.from({ length: 64 }, (_, host) => answered.indexOf(host)))
  assert.ok(last < 100, `of the first 64 one was the ${last + 1}th`)
})

test('an HTTP answer that is no DNS answer is an error that says so', LIMIT, async (t) => {
  const { pass } = fakeNow(t)
  const server = await startDnsServer(t, answer)
  const resolver = connectTo(t, server, 'https')
  // Whoever redirects is not followed: it may be a page that wants a login.
  server.httpOverride = { status: 302, type: 'text/html' }
  await assert.rejects(resolver.resolve('a.example'), { message: /HTTP status 302/ })
  await pass(6_000)
  server.httpOverride = { status: 503 }
  await assert.rejects(resolver.resolve('a.example'), { message: /HTTP status 503/ })
  server.httpOverride = { type: 'text/html', body: Buffer.from('<html>') }
  await pass(6_000)
  await assert.rejects(resolver.resolve('a.example'), { message: /text\/html/ })
  server.httpOverride = null
  await pass(6_000)
  assert.equal((await resolver.resolve('a.example')).length, 2)
})

test(
  'a server that takes its leave (GOAWAY) gets no more questions, and answers those it has',
  LIMIT,
  async (t) => {
    const asked = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const server = await startDnsServer(t, async (question) => {
      if (question.name === 'slow.example') {
        asked.resolve()
        await go.promise
      }
      return answer(question)
    })
    const resolver = connectTo(t, server, 'https')
    const slow = resolver.resolve('slow.example', 4)
    await asked.promise
    for (const session of server.sessions) session.goaway()
    while (server.accepted.https < 2) await resolver.resolve(`host-${server.asked.length}.example`, 4)
    go.resolve()
    assert.deepEqual(await slow, ['192.0.2.7'])
  },
)
