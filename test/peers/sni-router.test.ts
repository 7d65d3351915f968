import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '../end-to-end/world.ts'
import { connectFakeTls } from '../support/faketls-client.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { startPeer } from './support/peer.ts'
import { browse, startRouter, type RouterKind } from './support/router.ts'

const KINDS: readonly RouterKind[] = ['haproxy', 'nginx']
/** HAProxy's examples cut silent connections after this long; ours must not. */
const USUAL_CUT_MS = 60_000
const timeout = 180_000

// Together: each is silent for a minute.
suite('the recipes as they stand', { concurrency: true }, () => {
  for (const kind of KINDS) {
    test(
      `${kind} as SNI router: clients and browsers on one port, their addresses everywhere`,
      { timeout },
      async (t) => {
        const dc = await startStreamDc({ mode: 'echo' })
        t.after(() => dc.close())
        const router = await startRouter(t, kind, { host: '127.0.0.1', port: dc.port })
        const { port, secret, host } = router

        const client = await connectFakeTls({ port, secret, dc: 2, localAddress: '127.0.0.7' })
        client.write(Buffer.from('are you there?'))
        assert.equal((await client.read(14)).toString(), 'are you there?')

        // Of the host of the secret by way of mtg-multi, of another one straight from the router.
        assert.equal(browse(router, host, '/', '127.0.0.8'), router.page)
        assert.equal(browse(router, host.toUpperCase(), '/?upper', '127.0.0.8'), router.page)
        assert.equal(browse(router, 'www.example.com', '/?other', '127.0.0.9'), router.page)
        await waitUntil(() => router.siteLog().includes('/?other'), 'the visits are logged')
        const visits = router.siteLog().trim().split('\n')
        assert.deepEqual(
          visits.map((line) => /^(\S+) .*"GET (\S+) /.exec(line)?.slice(1)),
          [
            ['127.0.0.8', '/'],
            ['127.0.0.8', '/?upper'],
            ['127.0.0.9', '/?other'],
          ],
        )
        client.destroy()
        await waitUntil(
          () => router.log().filter(({ message }) => message === 'Stream has been finished').length >= 3,
          'the connections are logged',
        )
        const clients = new Set(router.log().map((line) => line['client-ip']))
        assert.ok(clients.has('127.0.0.7') && clients.has('127.0.0.8'), [...clients].join())
        assert.ok(!clients.has('127.0.0.9'), 'visitors of other hosts never come to mtg-multi')

        // A minute of silence, which phones that sleep keep all the time.
        const sleeper = await connectFakeTls({ port, secret, dc: 2 })
        await sleep(USUAL_CUT_MS + 3000)
        sleeper.write(Buffer.from('good morning'))
        assert.equal((await sleeper.read(12)).toString(), 'good morning')
        sleeper.destroy()
      },
    )
  }

  for (const kind of KINDS) {
    test(`the script that tries the recipe with ${kind} finds everything well`, { timeout }, async (t) => {
      const script = startPeer(t, process.execPath, ['contrib/sni-router/try.ts', '--router', kind])
      const [code] = await once(script.child, 'close')
      assert.equal(code, 0, script.output)
      assert.deepEqual(
        script.output
          .trim()
          .split('\n')
          .map((line) => line.split(' ')[0]),
        ['ok', 'ok', 'ok', 'ok'],
      )
    })
  }
})

test('no recipe cuts a connection before mtg-multi does', () => {
  const example = readFileSync('example.config.toml', 'utf8')
  const idleMinutes = Number(/^idle = "(\d+)m"$/m.exec(example)?.[1])
  assert.ok(idleMinutes > 0)
  const minutesOf = (path: string, name: RegExp): number[] =>
    [...readFileSync(path, 'utf8').matchAll(name)].map((found) => Number(found[1]))
  const haproxy = minutesOf('contrib/sni-router/haproxy.cfg', /^ *timeout (?:client|server|tunnel) (\d+)m$/gm)
  const nginx = minutesOf('contrib/nginx/stream.conf', /^ *proxy_timeout +(\d+)m;$/gm)
  assert.deepEqual([haproxy.length, nginx.length], [3, 1])
  for (const minutes of [...haproxy, ...nginx]) assert.ok(minutes > idleMinutes, `${minutes} minutes`)
})
