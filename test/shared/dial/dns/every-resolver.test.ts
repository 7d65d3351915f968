import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { FAMILY_GRACE_MS } from '#shared/dial/dns/server-names'
import { DialError } from '#shared/errors'
import {
  addressRecord,
  type Answerer,
  DNS_SERVER_CERT,
  NXDOMAIN,
  SERVFAIL,
  soaRecord,
  startDnsServer,
} from '../../../support/dns-server.ts'
import { fakeNow, fakeSystem, KINDS, LIVENESS_MS, PATIENT, serverConfig, startResolver } from './support.ts'

/** One suite that every kind of resolver passes (house rules, habit 15): whoever asks must not see which one it is. */
for (const kind of KINDS) {
  describe(`resolver: ${kind}`, { timeout: 8 * LIVENESS_MS }, () => {
    const both = (name: string, type: string): { answers: ReturnType<typeof addressRecord>[] } => ({
      answers: [addressRecord(name, type === 'A' ? '192.0.2.7' : '2001:db8::7')],
    })

    test('an address is its own answer and nobody is asked', async (t) => {
      const { resolver, counted } = await startResolver(t, kind, () => assert.fail('asked'))
      assert.deepEqual(await resolver.resolve('192.0.2.7'), ['192.0.2.7'])
      assert.deepEqual(await resolver.resolve('2001:db8::1'), ['2001:db8::1'])
      assert.deepEqual(counted, [])
    })

    test('a name has the addresses of both families, or of the one that is asked for', async (t) => {
      const { resolver } = await startResolver(t, kind, ({ name, type }) => both(name, type))
      assert.deepEqual(await resolver.resolve('site.example'), ['192.0.2.7', '2001:db8::7'])
      assert.deepEqual(await resolver.resolve('site.example', 4), ['192.0.2.7'])
      assert.deepEqual(await resolver.resolve('site.example', 6), ['2001:db8::7'])
    })

    test('case and a trailing dot make no other name', async (t) => {
      const { resolver, timesAsked } = await startResolver(t, kind, ({ name, type }) => both(name, type))
      await resolver.resolve('Site.Example.')
      await resolver.resolve('site.example')
      assert.equal(timesAsked('site.example'), 1)
    })

    test('a name with one family only is resolved, and has no address of the other one', async (t) => {
      const { resolver } = await startResolver(t, kind, ({ name, type }) =>
        type === 'AAAA' ? both(name, type) : { authorities: [soaRecord(60)] },
      )
      assert.deepEqual(await resolver.resolve('six.example'), ['2001:db8::7'])
      await assert.rejects(resolver.resolve('six.example', 4), { code: 'unresolved' })
    })

    test('a question is asked once for all who ask at the same time, and then answered from memory', async (t) => {
      const run = await startResolver(t, kind, ({ name, type }) => both(name, type))
      const asking = Array.from({ length: 50 }, () => run.resolver.resolve('site.example'))
      for (const answer of await Promise.all(asking)) assert.deepEqual(answer, ['192.0.2.7', '2001:db8::7'])
      assert.equal(run.timesAsked('site.example'), 1)
      assert.equal(run.hits(), 0)
      await run.resolver.resolve('site.example', 4)
      assert.equal(run.timesAsked('site.example'), 1)
      assert.equal(run.hits(), 1)
    })

    test('an answer is asked for again when its time is over', async (t) => {
      const { pass } = fakeNow(t)
      const { resolver, timesAsked } = await startResolver(t, kind, ({ name, type }) => ({
        answers: [addressRecord(name, type === 'A' ? '192.0.2.7' : '2001:db8::7', 60)],
      }))
      await resolver.resolve('site.example')
      await pass(59_000)
      await resolver.resolve('site.example')
      assert.equal(timesAsked('site.example'), 1)
      await pass(2_000)
      await resolver.resolve('site.example')
      assert.equal(timesAsked('site.example'), 2)
    })

    test('a name that is not there is an error that says so, remembered for a short while', async (t) => {
      const { pass } = fakeNow(t)
      const { resolver, timesAsked, counted } = await startResolver(t, kind, () => ({
        rcode: NXDOMAIN,
        authorities: [soaRecord(3600)],
      }))
      const failures = await Promise.allSettled(
        Array.from({ length: 20 }, () => resolver.resolve('nowhere.example')),
      )
      for (const failure of failures) {
        assert.ok(failure.status === 'rejected' && failure.reason instanceof DialError)
        assert.equal(failure.reason.code, 'unresolved')
        assert.ok(failure.reason.cause instanceof Error)
        assert.match(failure.reason.message, /^cannot resolve nowhere\.example: /)
      }
      await pass(4_000)
      await assert.rejects(resolver.resolve('nowhere.example'), { code: 'unresolved' })
      assert.equal(timesAsked('nowhere.example'), 1)
      assert.ok(
        counted.every((each) => each.endsWith(' no-address')),
        counted.join(),
      )
      // A minute at most, whatever the zone says.
      await pass(60_000)
      await assert.rejects(resolver.resolve('nowhere.example'), { code: 'unresolved' })
      assert.equal(timesAsked('nowhere.example'), 2)
    })

    test('a resolver that fails is asked again after seconds', async (t) => {
      const { pass } = fakeNow(t)
      let isBroken = true
      const { resolver, counted } = await startResolver(t, kind, ({ name, type }) =>
        isBroken ? { rcode: SERVFAIL } : both(name, type),
      )
      await assert.rejects(resolver.resolve('site.example'), { code: 'unresolved' })
      assert.ok(
        counted.every((each) => each.endsWith(' failed')),
        counted.join(),
      )
      isBroken = false
      await assert.rejects(resolver.resolve('site.example'), { code: 'unresolved' })
      await pass(6_000)
      assert.equal((await resolver.resolve('site.example')).length, 2)
    })

    test('a resolver that keeps silent is given up, and whoever waits may leave before', async (t) => {
      const asked = Promise.withResolvers<void>()
      const silence = new Promise<null>(() => {})
      let questions = 0
      const { resolver, counted } = await startResolver(t, kind, () => {
        questions += 1
        if (questions === 2) asked.resolve()
        return silence
      })
      t.mock.timers.enable({ apis: ['setTimeout'] })
      const answer = resolver.resolve('site.example')
      answer.catch(() => {})
      const left = new AbortController()
      const impatient = resolver.resolveWithin('site.example', 60_000, left.signal)
      impatient.catch(() => {})
      await asked.promise
      left.abort()
      await assert.rejects(impatient, { code: 'aborted' })
      t.mock.timers.tick(5_000)
      await assert.rejects(answer, { code: 'unresolved', message: /no answer within 5000 ms/ })
      assert.ok(counted.length > 0 && counted.every((each) => each.endsWith(' timeout')), counted.join())
    })

    test('what is no host name is refused, and nobody is asked', async (t) => {
      const { resolver } = await startResolver(t, kind, () => assert.fail('asked'))
      for (const name of ['', '.', 'a..b', `${'a'.repeat(64)}.example`, 'a b.example', 'bücher.example'])
        await assert.rejects(resolver.resolve(name), { code: 'unresolved', message: /not a host name/ })
    })

    test('names of this host are asked of the system', async (t) => {
      const { resolver } = await startResolver(t, kind, () => assert.fail('asked'))
      const names = fakeSystem(t, ({ name, type }) => both(name, type))
      for (const name of ['localhost', 'site.localhost', 'nginx'])
        assert.deepEqual(await resolver.resolve(name), ['192.0.2.7', '2001:db8::7'])
      assert.deepEqual(names, ['localhost', 'site.localhost', 'nginx'])
    })

    test('it serves as the lookup of a socket', async (t) => {
      const { resolver } = await startResolver(t, kind, ({ name, type }) =>
        name === 'site.example' ? both(name, type) : { rcode: NXDOMAIN },
      )
      const look = (name: string, options: object): Promise<unknown[]> =>
        new Promise((resolve) => resolver.lookup(name, options, (...result) => resolve(result)))
      assert.deepEqual(await look('site.example', { all: true }), [
        null,
        [
          { address: '192.0.2.7', family: 4 },
          { address: '2001:db8::7', family: 6 },
        ],
      ])
      assert.deepEqual(await look('site.example', { family: 6 }), [null, '2001:db8::7', 6])
      assert.deepEqual(await look('site.example', { family: 'IPv4' }), [null, '192.0.2.7', 4])
      const [error] = await look('nowhere.example', {})
      assert.ok(error instanceof DialError && error.code === 'unresolved')
    })

    test('hundreds of names at once are all answered', async (t) => {
      const { resolver } = await startResolver(t, kind, ({ name, type }) => both(name, type))
      const names = Array.from({ length: 300 }, (_, at) => `host-${at}.example`)
      const answers = await Promise.all(names.map((name) => resolver.resolve(name)))
      for (const answer of answers) assert.deepEqual(answer, ['192.0.2.7', '2001:db8::7'])
    })

    if (kind !== 'system') {
      test('a slow family does not hold up the other one, and is there when it is asked for later', async (t) => {
        for (const slow of ['A', 'AAAA']) {
          const late = Promise.withResolvers<void>()
          let isAnswered = false
          const answerLate: Answerer = async ({ name, type }) => {
            if (type === slow) {
              await late.promise
              isAnswered = true
            }
            return both(name, type)
          }
          const { resolver } = await startResolver(t, kind, answerLate, { familyGraceMs: FAMILY_GRACE_MS })
          const first = await resolver.resolve('site.example')
          assert.deepEqual(first, slow === 'A' ? ['2001:db8::7'] : ['192.0.2.7'])
          assert.equal(isAnswered, false)
          late.resolve()
          await resolver.resolve('site.example', slow === 'A' ? 4 : 6)
          assert.deepEqual(await resolver.resolve('site.example'), ['192.0.2.7', '2001:db8::7'])
        }
        assert.equal(FAMILY_GRACE_MS, 50)
      })

      test('it keeps no command from ending', async (t) => {
        const server = await startDnsServer(t, ({ name, type }) => both(name, type), {
          http1: kind === 'https over HTTP/1.1',
        })
        const options = { ca: DNS_SERVER_CERT, ...PATIENT }
        const code = `
          import { Resolver } from '#shared/dial/resolver'
          const resolver = new Resolver(${JSON.stringify(serverConfig(server, kind))}, ${JSON.stringify(options)})
          console.log((await resolver.resolve('site.example')).join())`
        // Sooner than the connection would be closed for being idle.
        const { stdout } = await promisify(execFile)(
          process.execPath,
          ['--input-type=module', '--eval', code],
          { timeout: 8_000 },
        )
        assert.equal(stdout.trim(), '192.0.2.7,2001:db8::7')
      })
    }
  })
}
