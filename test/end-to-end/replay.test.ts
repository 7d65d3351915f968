import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import {
  buildClientHello,
  RANDOM_OFFSET,
  splitIntoRecords,
  type ClientHello,
} from '../support/client-hello.ts'
import { stopExactly } from '../support/exactness.ts'
import {
  connectFakeTls,
  connectRaw,
  type FakeTlsClient,
  parseClientSecret,
} from '../support/faketls-client.ts'
import { Faults, FAULTY_SERVE } from '../support/faults.ts'
import { type RecordingSite, startRecordingSite } from '../support/front-site.ts'
import { eventually, fetchText, sumMetric } from '../support/process-state.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { startStreamDc } from '../support/stream-dc.ts'

const SECRET = `ee${'07'.repeat(16)}${Buffer.from('example.com').toString('hex')}`
/** Long enough that no hello of these tests becomes stale on a slow machine: it is the replay that is refused. */
const SKEW_MS = 60_000
const SITE_REPLY = Buffer.from('this is the site')
const options = { timeout: 60_000 }

interface Setup {
  readonly proxy: TestProxy
  readonly faults: Faults
  readonly site: RecordingSite
  /** Shake hands with this hello, or with a new one. */
  readonly connect: (hello?: ClientHello) => Promise<FakeTlsClient>
  /** A silent connection in the hands of this worker thread. */
  readonly connectTo: (thread: number) => Promise<Socket>
  /** Send the bytes of a hello and nothing more; resolves when the fronting site has got them and answered. */
  readonly assertFronted: (hello: ClientHello, thread: number) => Promise<void>
  /** Resolves when the metric has this value. */
  readonly metric: (name: string, value: number, labels?: string) => Promise<unknown>
  readonly ready: () => Promise<unknown>
}

/** The same hello with this time XORed into it, as somebody does who has no key (wire.md §2.4). */
function retime({ bytes, random, sessionId }: ClientHello, xor: number): ClientHello {
  const changed = Buffer.from(random)
  changed.writeUInt32LE((changed.readUInt32LE(28) ^ xor) >>> 0, 28)
  const record = Buffer.from(bytes)
  changed.copy(record, RANDOM_OFFSET)
  return { bytes: record, random: changed, sessionId }
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
      network: { timeout: { tcpMs: 5000, httpMs: 5000, idleMs: SKEW_MS, handshakeMs: SKEW_MS } },
      defense: { antiReplay: { enabled: antiReplay, maxSizeBytes: 0 } },
    },
  })
  const faults = new Faults(proxy.port)
  t.after(async () => {
    await stopExactly(proxy)
    faults.close()
    await site.close()
    await dc.close()
  })
  const { port } = proxy
  const connectTo = async (thread: number): Promise<Socket> => {
    // Who lands elsewhere stays as ballast, so that the thread is the least loaded one at last.
    for (;;) {
      const socket = await connectRaw({ port })
      socket.on('error', () => {})
      t.after(() => socket.destroy())
      if ((await faults.threadOf(socket.localPort!)) === thread) return socket
    }
  }
  return {
    proxy,
    faults,
    site,
    connect: (hello) =>
      connectFakeTls({ port, secret: SECRET, dc: 2, ...(hello === undefined ? {} : { hello }) }),
    connectTo,
    assertFronted: async (hello, thread) => {
      const socket = await connectTo(thread)
      socket.write(hello.bytes)
      // Silent ballast is at the site as well.
      const isThere = (): boolean => site.connections.some(({ received }) => received.equals(hello.bytes))
      await eventually(
        'the hello at the site',
        async () => isThere(),
        (there) => there,
      )
      const [answer] = (await once(socket, 'data')) as [Buffer]
      assert.equal(String(answer), String(SITE_REPLY))
    },
    metric: (name, value, labels) =>
      eventually(
        name,
        async () => sumMetric(await fetchText(proxy.running.metricsAddress!.port, '/'), name, labels),
        (now) => now === value,
      ),
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

/** FIN or reset: either is an end that a client sees. */
async function waitEnd(socket: Socket): Promise<void> {
  await new Promise((resolve) => socket.once('end', resolve).once('close', resolve))
}

async function assertServed(client: FakeTlsClient): Promise<void> {
  const message = randomBytes(5000)
  client.write(message)
  assert.ok(message.equals(await client.read(message.length)), 'the echo differs')
}

test('a replayed hello is found on the thread that saw it and on every other one', options, async (t) => {
  const { faults, connect, assertFronted, metric } = await setUp(t)
  const hello = signHello()
  const client = await connect(hello)
  const thread = await faults.threadOf(client.socket.localPort!)
  await assertFronted(hello, 1 - thread)
  await assertFronted(hello, thread)
  await assertServed(client)
  await metric('mtg_replay_attacks', 2)
  // The neighbour of a replay is served: it is the hello that is refused, not the address.
  await assertServed(await connect())
})

test(
  'another time in a recorded hello, or other records around it, make no new hello',
  options,
  async (t) => {
    const { connect, assertFronted, metric } = await setUp(t)
    const now = Math.floor(Date.now() / 1000)
    const hello = signHello(now)
    await assertServed(await connect(hello))
    // All of them are signed and in time: what refuses them is that the hello was used.
    const seconds = [1, 2, 7, 30].map((later) => now ^ (now + later))
    for (const xor of seconds) await assertFronted(retime(hello, xor), 0)
    await assertFronted({ ...hello, bytes: splitIntoRecords(hello.bytes, [100, 300]) }, 1)
    await metric('mtg_replay_attacks', seconds.length + 1)
  },
)

test('a hello that was retimed before its first use is used up in all its forms', options, async (t) => {
  const { connect, assertFronted } = await setUp(t)
  const hello = signHello()
  await assertServed(await connect(retime(hello, 1)))
  for (const thread of [0, 1]) await assertFronted(hello, thread)
})

test('a reload forgets no hello', options, async (t) => {
  const { proxy, connect, assertFronted, metric } = await setUp(t)
  const hellos = [signHello(), signHello()]
  for (const hello of hellos) await assertServed(await connect(hello))
  await proxy.running.reload({ ...proxy.config, concurrency: 1000 })
  for (const hello of hellos) {
    for (const thread of [0, 1]) await assertFronted(hello, thread)
  }
  await metric('mtg_replay_attacks', 4)
  await assertServed(await connect())
})

test('a hello that the process before has served is fronted by its successor', options, async (t) => {
  const before = await setUp(t)
  const hello = signHello()
  await assertServed(await before.connect(hello))
  await before.proxy.stop()
  const nextStart = (Math.floor(Date.now() / 1000) + 2) * 1000 // the grace is one whole second
  await new Promise((resolve) => setTimeout(resolve, nextStart - Date.now()))
  const after = await setUp(t)
  for (const thread of [0, 1]) await after.assertFronted(hello, thread)
  await after.metric('mtg_handshakes', 2, 'outcome="before-start"')
  await assertServed(await after.connect())
})

test('a replay is found after every thread that could know of it has died', options, async (t) => {
  const { faults, connect, assertFronted, metric, ready } = await setUp(t)
  const hellos = [signHello(), signHello()]
  const clients = [await connect(hellos[0]), await connect(hellos[1])]
  const threads = await Promise.all(clients.map((client) => faults.threadOf(client.socket.localPort!)))
  assert.deepEqual(new Set(threads), new Set([0, 1]))
  for (const thread of [0, 1]) {
    const started = faults.next((report) => report.kind === 'started' && report.thread === thread)
    faults.inject(thread, { kind: 'exit' })
    await started
    await ready()
  }
  for (const hello of hellos) {
    for (const thread of [0, 1]) await assertFronted(hello, thread)
  }
  await metric('mtg_replay_attacks', 4)
  await assertServed(await connect())
})

// Write 1 takes the lock, 2 puts the entry into the set, 3 lets it be found, 4 gives the lock back.
test('a thread that dies inside the replay set neither stops others nor opens a gap', options, async (t) => {
  const { faults, connect, connectTo, assertFronted, ready } = await setUp(t)
  const before = signHello()
  await assertServed(await connect(before))
  for (const afterWrites of [1, 2, 3, 4]) {
    await faults.arm(0, { kind: 'exit-in-replay-set', afterWrites })
    const dying = await connectTo(0)
    const waiting = await connectTo(1)
    const fatal = signHello()
    const started = faults.next(({ kind }) => kind === 'started')
    const closed = waitEnd(dying.resume())
    dying.write(fatal.bytes)
    // Thread 1 finds the lock in the hands of a dead thread, or is there first: it answers in any case.
    waiting.write(signHello().bytes)
    const [[answer]] = (await Promise.all([once(waiting, 'data'), closed])) as [[Buffer], unknown]
    assert.equal(answer[0], 0x16, 'no ServerHello')
    await started
    await ready()
    await assertFronted(before, 1)
    // Nobody answered the fatal one, so it may be remembered or not; once it was served, it must be.
    if (afterWrites < 3) await assertServed(await connect(fatal))
    for (const thread of [0, 1]) await assertFronted(fatal, thread)
  }
})

test('a hello from before the start is fronted, as nobody knows if it is a replay', options, async (t) => {
  const { connect, assertFronted, metric } = await setUp(t)
  const nowSeconds = Math.floor(Date.now() / 1000)
  const early = signHello(nowSeconds - 30)
  for (const thread of [0, 1]) await assertFronted(early, thread)
  await metric('mtg_handshakes', 2, 'outcome="before-start"')
  await metric('mtg_replay_attacks', 0)
  await assertServed(await connect(signHello(nowSeconds + 1)))
})

test('without anti-replay a replay is served: it is nothing else that refuses it', options, async (t) => {
  const { connect, metric } = await setUp(t, false)
  const hello = signHello(Math.floor(Date.now() / 1000) - 30)
  await assertServed(await connect(hello))
  await assertServed(await connect(hello))
  await metric('mtg_replay_attacks', 0)
})
