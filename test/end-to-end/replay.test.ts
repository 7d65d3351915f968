import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { buildClientHello, type ClientHello } from '../support/client-hello.ts'
import {
  connectFakeTls,
  connectRaw,
  type FakeTlsClient,
  parseClientSecret,
} from '../support/faketls-client.ts'
import { Faults, FAULTY_SERVE } from '../support/faults.ts'
import { type RecordingSite, startRecordingSite } from '../support/front-site.ts'
import { eventually, fetchText, sumMetric } from '../support/process-state.ts'
import { startTestProxy } from '../support/proxy.ts'
import { startStreamDc } from '../support/stream-dc.ts'

const SECRET = `ee${'07'.repeat(16)}${Buffer.from('example.com').toString('hex')}`
/** Long enough that no hello of these tests becomes stale on a slow machine: it is the replay that is refused. */
const SKEW_MS = 60_000
const SITE_REPLY = Buffer.from('this is the site')
const options = { timeout: 60_000 }

interface Setup {
  readonly faults: Faults
  readonly site: RecordingSite
  /** Shake hands with this hello, or with a new one. */
  readonly connect: (hello?: ClientHello) => Promise<FakeTlsClient>
  /** The worker thread that gets the next connection is this one; returns who holds the others' places. */
  readonly aimAt: (thread: number) => Promise<void>
  /** Send the bytes of a hello and nothing more; resolves when the fronting site has got them and answered. */
  readonly assertFronted: (hello: ClientHello, thread: number) => Promise<void>
  readonly metric: (name: string, labels?: string) => Promise<number>
  readonly ready: () => Promise<unknown>
}

/** Two threads, a data centre that echoes, a fronting site that answers and keeps what it gets. */
async function setUp(t: TestContext, antiReplay = true): Promise<Setup> {
  const dc = await startStreamDc({ mode: 'echo' })
  const site = await startRecordingSite({ reply: SITE_REPLY })
  const proxy = await startTestProxy({
    users: { anna: SECRET },
    dcs: { 2: [{ host: '127.0.0.1', port: dc.port }] },
    fronting: { host: '127.0.0.1', port: site.port },
    workers: 2,
    workerEntry: FAULTY_SERVE,
    config: {
      tolerateTimeSkewnessMs: SKEW_MS,
      defense: { antiReplay: { enabled: antiReplay, maxSizeBytes: 0 } },
    },
  })
  const faults = new Faults(proxy.port)
  t.after(async () => {
    await proxy.stop()
    faults.close()
    await site.close()
    await dc.close()
  })
  const { port } = proxy
  const aimAt = async (thread: number): Promise<void> => {
    // Ties go to thread 0 and others to the smaller load: what lands elsewhere stays as ballast.
    for (;;) {
      const probe = await connectRaw({ port })
      probe.on('error', () => {}).resume()
      if ((await faults.threadOf(probe.localPort!)) !== thread) {
        t.after(() => probe.destroy())
        continue
      }
      const closed = once(probe, 'close')
      probe.destroy()
      await closed
      return
    }
  }
  return {
    faults,
    site,
    connect: (hello) =>
      connectFakeTls({ port, secret: SECRET, dc: 2, ...(hello === undefined ? {} : { hello }) }),
    aimAt,
    assertFronted: async (hello, thread) => {
      await aimAt(thread)
      const socket = await connectRaw({ port })
      t.after(() => socket.destroy())
      assert.equal(await faults.threadOf(socket.localPort!), thread)
      socket.write(hello.bytes)
      const fronted = await site.nextConnection()
      const received = await fronted.waitReceived(hello.bytes.length)
      assert.ok(received.equals(hello.bytes), 'the site got something else than the hello')
      const [answer] = (await once(socket, 'data')) as [Buffer]
      assert.equal(String(answer), String(SITE_REPLY))
    },
    metric: async (name, labels) =>
      sumMetric(await fetchText(proxy.running.metricsAddress!.port, '/'), name, labels),
    ready: () =>
      eventually(
        'readiness',
        () => fetchText(proxy.running.apiAddress!.port, '/health/ready'),
        (text) => text === 'ok\n',
      ),
  }
}

const signHello = (unixTime = Math.floor(Date.now() / 1000)): ClientHello =>
  buildClientHello({ ...parseClientSecret(SECRET), unixTime })

async function assertServed(client: FakeTlsClient): Promise<void> {
  const message = randomBytes(5000)
  client.write(message)
  assert.ok(message.equals(await client.read(message.length)), 'the echo differs')
}

test('a replayed hello is found on the thread that saw it and on every other one', options, async (t) => {
  const { faults, connect, aimAt, assertFronted, metric } = await setUp(t)
  const hello = signHello()
  await aimAt(0)
  const client = await connect(hello)
  assert.equal(await faults.threadOf(client.socket.localPort!), 0)
  await assertFronted(hello, 1)
  await assertFronted(hello, 0)
  await assertServed(client)
  await eventually(
    'two replays',
    () => metric('mtg_replay_attacks'),
    (value) => value === 2,
  )
  // The neighbour of a replay is served: it is the hello that is refused, not the address.
  await assertServed(await connect())
})

test('a replay is found after every thread that could know of it has died', options, async (t) => {
  const { faults, connect, aimAt, assertFronted, metric, ready } = await setUp(t)
  const hellos = [signHello(), signHello()]
  for (const [thread, hello] of hellos.entries()) {
    await aimAt(thread)
    await assertServed(await connect(hello))
  }
  for (const thread of [0, 1]) {
    const started = faults.next((report) => report.kind === 'started' && report.thread === thread)
    faults.inject(thread, { kind: 'exit' })
    await started
    await ready()
  }
  for (const hello of hellos) {
    for (const thread of [0, 1]) await assertFronted(hello, thread)
  }
  await eventually(
    'four replays',
    () => metric('mtg_replay_attacks'),
    (value) => value === 4,
  )
  await assertServed(await connect())
})

// 1: the lock is taken, 2: the entry is in the set, 3: it can be found, 4: the lock is given back.
test(
  'a thread that dies inside the replay set neither stops the others nor opens a gap',
  options,
  async (t) => {
    const { faults, connect, aimAt, assertFronted, ready } = await setUp(t)
    const before = signHello()
    await assertServed(await connect(before))
    for (const afterWrites of [1, 2, 3, 4]) {
      await faults.arm(0, { kind: 'exit-in-replay-set', afterWrites })
      await aimAt(0)
      const fatal = signHello()
      const started = faults.next(({ kind }) => kind === 'started')
      const dying = assert.rejects(connect(fatal), { code: 'closed' })
      // Its load is one now, and that of thread 1 is at least as large: only the wait of thread 1 for the lock is at stake.
      const waiting = Promise.all([connect().catch(() => null), connect().catch(() => null)])
      await dying
      const waited = (await waiting).filter((client) => client !== null)
      await Promise.all(waited.map((client) => assertServed(client)))
      await started
      await ready()
      await assertFronted(before, 1)
      // The fatal one was answered by nobody, so it may be remembered or not; remembered it is once it was served.
      if (afterWrites >= 3) await assertFronted(fatal, 0)
      else {
        await aimAt(0)
        await assertServed(await connect(fatal))
        await assertFronted(fatal, 1)
      }
    }
  },
)

test(
  'a hello from before the start is fronted, as nobody knows whether it is a replay',
  options,
  async (t) => {
    const { connect, assertFronted, metric } = await setUp(t)
    const nowSeconds = Math.floor(Date.now() / 1000)
    const early = signHello(nowSeconds - 30)
    for (const thread of [0, 1]) await assertFronted(early, thread)
    const labels = 'outcome="before-start"'
    await eventually(
      'two of them',
      () => metric('mtg_handshakes', labels),
      (value) => value === 2,
    )
    assert.equal(await metric('mtg_replay_attacks'), 0)
    await assertServed(await connect(signHello(nowSeconds + 1)))
  },
)

test(
  'without anti-replay a replay is served, which shows that nothing else refuses it',
  options,
  async (t) => {
    const { connect, metric } = await setUp(t, false)
    const hello = signHello(Math.floor(Date.now() / 1000) - 30)
    await assertServed(await connect(hello))
    await assertServed(await connect(hello))
    assert.equal(await metric('mtg_replay_attacks'), 0)
  },
)
