import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { BugError } from '#shared/errors'
import { stopExactly } from '../support/exactness.ts'
import { connectFakeTls, connectRaw, type FakeTlsClient } from '../support/faketls-client.ts'
import { DIE_AT_START_VARIABLE, type Fault, Faults, FAULTY_SERVE, openGate } from '../support/faults.ts'
import {
  countDescriptors,
  eventually,
  fetchStats,
  fetchText,
  LIVENESS_LIMIT_MS,
  sumMetric,
} from '../support/process-state.ts'
import { startTestProxy, type StatsJson, type TestProxy } from '../support/proxy.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { findFreePort } from '../support/free-port.ts'
import { startProgram } from '../primary/commands/run-program.ts'
import { makeDirectory } from '../support/make-directory.ts'

const secretOf = (key: string): string => `ee${key.repeat(16)}${Buffer.from('example.com').toString('hex')}`
const QUIET = secretOf('01')
const BUSY = secretOf('02')
const NEIGHBOUR = secretOf('03')
const MESSAGE_BYTES = 20_000
const ECHO_PAUSE_MS = 5
const options = { timeout: 60_000 }

interface Setup {
  readonly proxy: TestProxy
  readonly faults: Faults
  readonly connect: (secret: string) => Promise<FakeTlsClient>
  readonly stats: () => Promise<StatsJson>
  readonly metric: (name: string) => Promise<number>
  /** Every thread serves. */
  readonly ready: () => Promise<unknown>
  readonly stop: () => Promise<void>
}

/** Two threads that die on demand, and a data centre that echoes. */
async function setUp(t: TestContext): Promise<Setup> {
  const dc = await startStreamDc({ mode: 'echo' })
  const proxy = await startTestProxy({
    users: { quiet: QUIET, busy: BUSY, neighbour: NEIGHBOUR },
    dcs: { 2: [{ host: '127.0.0.1', port: dc.port }] },
    workers: 2,
    workerEntry: FAULTY_SERVE,
    // A gigabyte by default, which takes seconds to fill.
    maxHeapMb: 128,
  })
  const faults = new Faults(proxy.port)
  let stopping: Promise<void> | null = null
  const stop = async (): Promise<void> => {
    await stopExactly(proxy)
    faults.close()
    await dc.close()
  }
  t.after(() => (stopping ??= stop()))
  const api = proxy.running.apiAddress!.port
  const exporter = proxy.running.metricsAddress!.port
  return {
    proxy,
    faults,
    connect: (secret) => connectFakeTls({ port: proxy.port, secret, dc: 2 }),
    stats: () => fetchStats(api),
    metric: async (name) => sumMetric(await fetchText(exporter, '/'), name),
    ready: () =>
      eventually(
        'readiness',
        () => fetchText(api, '/health/ready'),
        (text) => text === 'ok\n',
      ),
    stop: () => (stopping ??= stop()),
  }
}

async function echo(client: FakeTlsClient, bytes: number = MESSAGE_BYTES): Promise<void> {
  const message = randomBytes(bytes)
  client.write(message)
  assert.ok(message.equals(await client.read(bytes)), 'the echo differs')
}

/** Echo until stopped, which resolves with the number of messages that came back, or cut off. */
function keepEchoing(client: FakeTlsClient): { stop: () => Promise<number>; cutOff: () => Promise<void> } {
  const stopping = new AbortController()
  const run = (async (): Promise<number> => {
    let messages = 0
    for (; !stopping.signal.aborted; messages += 1) {
      await echo(client)
      await sleep(ECHO_PAUSE_MS)
    }
    return messages
  })()
  run.catch(() => {}) // looked at by one of these two
  return {
    stop: () => {
      stopping.abort()
      return run
    },
    cutOff: async () => {
      await assert.rejects(run, { code: 'closed' })
    },
  }
}

/** The client sees the end, in whatever form; its own half is closed then. */
async function waitCutOff(client: FakeTlsClient): Promise<void> {
  await client.ended.catch(() => {})
  client.destroy()
}

test('a dead thread takes its own connections along and nothing else', options, async (t) => {
  const descriptorsBefore = countDescriptors()
  const { proxy, faults, connect, stats, metric, stop } = await setUp(t)
  const neighbours: FakeTlsClient[] = []
  // Loads are equal at the start, so connections go to thread 0, 1, 0, 1, …
  const quiet = await connect(QUIET)
  neighbours.push(await connect(NEIGHBOUR))
  const dying = await faults.threadOf(quiet.socket.localPort!)
  assert.notEqual(await faults.threadOf(neighbours[0]!.socket.localPort!), dying)
  quiet.destroy()
  await eventually('the end of the first one', stats, ({ users }) => users['quiet']?.connections === 0)
  const neighbour = keepEchoing(neighbours[0]!)
  let quietBytes = 0
  let restarts = 0

  const kinds: Fault['kind'][] = ['throw', 'reject', 'exit', 'out-of-memory']
  for (const kind of kinds) {
    await t.test(`dead by ${kind}`, async (t) => {
      // Thread 0 has none and thread 1 has one: two for 0, the next for 1.
      const victim = await connect(QUIET)
      const relaying = await connect(BUSY)
      const filler = await connect(NEIGHBOUR)
      for (const client of [victim, relaying])
        assert.equal(await faults.threadOf(client.socket.localPort!), dying)
      await echo(victim)
      quietBytes += MESSAGE_BYTES
      const published = await eventually(
        'the published bytes',
        stats,
        ({ users }) => users['quiet']?.bytes_out === quietBytes,
      )
      assert.equal(published.users['quiet']?.bytes_in, quietBytes)
      const busyBefore = published.users['busy']?.bytes_in ?? 0

      const cut = keepEchoing(relaying)
      await eventually('traffic', stats, ({ users }) => (users['busy']?.bytes_in ?? 0) > busyBefore)
      const busy = (await stats()).users['busy']!
      faults.inject(dying, { kind } as Fault) // those of the list have no parameters
      await Promise.all([waitCutOff(victim), waitCutOff(relaying), cut.cutOff()])
      const deadMs = performance.now()

      const replacement = await eventually(
        'a thread in its place',
        async () => {
          const client = await connect(BUSY).catch(() => null)
          if (client === null) return null
          const thread = await faults.threadOf(client.socket.localPort!)
          if (thread === dying) return client
          client.destroy()
          return null
        },
        (client) => client !== null,
      )
      await echo(replacement!)
      t.diagnostic(`served by its replacement after ${Math.round(performance.now() - deadMs)} ms`)

      restarts += 1
      const after = await eventually(
        'the right numbers',
        stats,
        ({ users }) =>
          users['quiet']?.connections === 0 &&
          users['busy']?.connections === 1 &&
          users['neighbour']?.connections === 2,
      )
      assert.equal(after.users['quiet']?.bytes_in, quietBytes)
      assert.equal(after.users['quiet']?.bytes_out, quietBytes)
      assert.ok(after.users['busy']!.bytes_in >= busy.bytes_in)
      assert.ok(after.users['busy']!.bytes_out >= busy.bytes_out)
      assert.equal(after.total_connections, 3)
      for (const gauge of ['mtg_client_connections', 'mtg_telegram_connections'])
        await eventually(
          gauge,
          () => metric(gauge),
          (value) => value === 3,
        )
      assert.equal(await metric('mtg_worker_restarts'), restarts)
      const died = proxy.logLines().filter(({ message }) => message === 'worker thread died')
      assert.equal(died.length, restarts)

      replacement!.destroy()
      filler.destroy()
      await eventually('one connection', stats, ({ total_connections: total }) => total === 1)
    })
  }
  assert.ok((await neighbour.stop()) > 10, 'the neighbour got no further')
  neighbours[0]!.destroy()
  await eventually('no connection', stats, ({ total_connections: total }) => total === 0)
  await stop()
  await eventually('the descriptors of before', countDescriptors, (now) => now <= descriptorsBefore)
})

// 6 writes: sequence, user's live, total, row's live, thread's live, sequence.
for (const occasion of ['an admission', 'a departure'] as const) {
  for (const writes of [
    [1, 2, 3],
    [4, 5, 6],
  ]) {
    test(
      `counts are right after a death behind write ${writes.join(', ')} of ${occasion}`,
      options,
      async (t) => {
        const { faults, connect, stats, metric, ready } = await setUp(t)
        const neighbours = [await connect(NEIGHBOUR), await connect(NEIGHBOUR)]
        const staying = neighbours[1]!
        const dying = await faults.threadOf(neighbours[0]!.socket.localPort!)
        neighbours[0]!.destroy()
        await eventually('one connection', stats, ({ total_connections: total }) => total === 1)
        for (const afterWrites of writes) {
          const leaver = await connect(BUSY)
          assert.equal(await faults.threadOf(leaver.socket.localPort!), dying)
          const started = faults.next(({ kind }) => kind === 'started')
          await faults.arm(dying, { kind: 'exit-in-ledger', afterWrites })
          if (occasion === 'a departure') leaver.destroy()
          else await assert.rejects(connect(BUSY))
          await waitCutOff(leaver)
          await started
          await echo(staying)
          await ready()
          const right = await eventually(
            'one connection',
            stats,
            ({ total_connections: total, users }) =>
              total === 1 && users['busy']?.connections === 0 && users['neighbour']?.connections === 1,
          )
          assert.equal(right.total_connections, 1)
          await eventually(
            'gauge',
            () => metric('mtg_client_connections'),
            (value) => value === 1,
          )
          const next = await connect(BUSY)
          await echo(next)
          next.destroy()
          await eventually('one connection', stats, ({ total_connections: total }) => total === 1)
        }
      },
    )
  }
}

test('connections posted to a thread that dies before it reads them are closed', options, async (t) => {
  const descriptorsBefore = countDescriptors()
  const { faults, connect, stats, stop } = await setUp(t)
  const first = await connect(NEIGHBOUR)
  const dying = await faults.threadOf(first.socket.localPort!)
  const second = await connect(NEIGHBOUR)
  assert.notEqual(await faults.threadOf(second.socket.localPort!), dying)
  // Blocked until everything below is posted, half of it to a thread that never sees it.
  const gate = new SharedArrayBuffer(4)
  faults.inject(dying, { kind: 'block-then-exit', blockMs: LIVENESS_LIMIT_MS, gate })
  let open = 0
  const attempting = Promise.allSettled(
    Array.from({ length: 40 }, async () => {
      const client = await connect(BUSY)
      open += 1
      return client
    }),
  )
  await eventually(
    'the half that is served',
    () => open,
    (count) => count >= 20,
  )
  openGate(gate)
  const attempts = await attempting
  const served = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []))
  const closed = attempts.length - served.length
  assert.ok(closed >= 10, `only ${closed} of ${attempts.length} were posted to the dead thread`)
  assert.ok(served.length >= 10, `only ${served.length} of ${attempts.length} were served`)
  for (const client of served) await echo(client)
  await waitCutOff(first)
  await echo(second)
  for (const client of [...served, second]) client.destroy()
  await eventually('no connection', stats, ({ total_connections: total }) => total === 0)
  await stop()
  await eventually('the descriptors of before', countDescriptors, (now) => now <= descriptorsBefore)
})

test('clients that reset while threads die leave nothing behind', options, async (t) => {
  const descriptorsBefore = countDescriptors()
  const { faults, connect, proxy, stats, metric, stop } = await setUp(t)
  for (const thread of [0, 1]) {
    faults.inject(thread, { kind: 'block-then-exit', blockMs: 300 })
    const resets = Array.from({ length: 100 }, async () => {
      const socket = await connectRaw({ port: proxy.port })
      socket.on('error', () => {})
      socket.write('x')
      socket.resetAndDestroy()
    })
    const restarted = faults.next((report) => report.kind === 'started' && report.thread === thread)
    await Promise.all([...resets, restarted])
  }
  await eventually(
    'the gauge at 0',
    () => metric('mtg_client_connections'),
    (value) => value === 0,
  )
  const client = await connect(QUIET)
  await echo(client)
  client.destroy()
  await eventually('no connection', stats, ({ total_connections: total }) => total === 0)
  await stop()
  await eventually('the descriptors of before', countDescriptors, (now) => now <= descriptorsBefore)
})

test('a closed hand-off port loses no connection', options, async (t) => {
  const descriptorsBefore = countDescriptors()
  const { faults, connect, stats, stop } = await setUp(t)
  const first = await connect(NEIGHBOUR)
  faults.inject(await faults.threadOf(first.socket.localPort!), { kind: 'close-port' })
  const attempts = await Promise.allSettled(Array.from({ length: 20 }, () => connect(BUSY)))
  const served = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []))
  assert.ok(served.length > 0)
  await Promise.all(served.map((client) => echo(client)))
  await echo(first)
  for (const client of [...served, first]) client.destroy()
  await eventually('no connection', stats, ({ total_connections: total }) => total === 0)
  await stop()
  await eventually('the descriptors of before', countDescriptors, (now) => now <= descriptorsBefore)
})

test('the fifth death within a minute ends the proxy with the reason', options, async (t) => {
  const descriptorsBefore = countDescriptors()
  const { faults, connect, proxy, stop } = await setUp(t)
  const client = await connect(NEIGHBOUR)
  const dying = 1 - (await faults.threadOf(client.socket.localPort!))
  const failed = assert.rejects(proxy.running.finished, (error: unknown) => {
    assert.ok(error instanceof BugError)
    assert.match(error.message, /^5 worker threads died within a minute/)
    return true
  })
  for (let death = 1; death <= 5; death++) {
    await echo(client)
    const started = faults.next(({ kind }) => kind === 'started')
    faults.inject(dying, { kind: 'exit' })
    if (death < 5) await started
  }
  await failed
  await waitCutOff(client)
  await assert.rejects(connect(QUIET), { code: 'connect' })
  await stop()
  await eventually('the descriptors of before', countDescriptors, (now) => now <= descriptorsBefore)
})

test('a thread that dies while the proxy drains does not hold up its stop', options, async (t) => {
  const { faults, connect, proxy, stop } = await setUp(t)
  const clients = [await connect(QUIET), await connect(QUIET)]
  const dying = await faults.threadOf(clients[0]!.socket.localPort!)
  const stopped = proxy.running.stop()
  await echo(clients[0]!)
  faults.inject(dying, { kind: 'exit' })
  await waitCutOff(clients[0]!)
  await echo(clients[1]!)
  clients[1]!.destroy()
  await stopped
  await proxy.running.finished
  assert.equal(proxy.logLines().filter(({ message }) => message === 'worker thread died').length, 1)
  await stop()
})

test('a thread that dies before it serves does not keep the proxy from starting', options, async (t) => {
  process.env[DIE_AT_START_VARIABLE] = join(makeDirectory(t, { die: '' }), 'die')
  try {
    const { connect, proxy, stop } = await setUp(t)
    const client = await connect(QUIET)
    await echo(client)
    client.destroy()
    assert.equal(proxy.logLines().filter(({ message }) => message === 'worker thread died').length, 1)
    await stop()
  } finally {
    delete process.env[DIE_AT_START_VARIABLE]
  }
})

for (const [when, delayed] of [
  ['as soon as they serve', 'setTimeout(() => { throw new Error("injected") }, 100)'],
  ['before they have loaded anything', 'throw new Error("injected")'],
] as const) {
  test(`the program whose threads die ${when} ends with 1 and says why`, options, async (t) => {
    const folder = makeDirectory(t, {
      'config.toml': `secret = "${QUIET}"\nbind-to = "127.0.0.1:${await findFreePort()}"\n[performance]\nworkers = 2\n`,
    })
    const preload = `import { isMainThread } from 'node:worker_threads'; if (!isMainThread) ${delayed}`
    const nodeArgs = ['--import', `data:text/javascript,${encodeURIComponent(preload)}`]
    const program = startProgram(t, ['run', 'config.toml'], { cwd: folder, nodeArgs })
    assert.equal(await program.exit(), 1, program.stderr)
    assert.match(
      program.stderr,
      /^mtg-multi: error: internal error: 5 worker threads died within a minute.*injected/m,
    )
    // The other thread may die as well while the process ends: that is told of, but no more counted.
    const deaths = program
      .log()
      .filter((line) => line['message'] === 'worker thread died' && line['deaths_last_minute'] !== undefined)
      .map(({ worker, timestamp }) => ({ worker, ms: Number(timestamp) }))
    assert.equal(deaths.length, 5)
    for (const [at, { worker, ms }] of deaths.entries()) {
      const next = deaths.slice(at + 1).find((death) => death.worker === worker)
      const pauseMs = 50 * (at + 1)
      // A timer may be a millisecond early.
      assert.ok(next === undefined || next.ms - ms >= pauseMs - 2, `${pauseMs} ms after death ${at + 1}`)
    }
  })
}
