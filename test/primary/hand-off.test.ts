import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { Remote } from 'comlink'
import { HandOffs } from '#primary/hand-off'
import type { WorkerPool } from '#primary/worker-pool'
import { WorkerThread } from '#primary/worker-thread'
import type { HandOff } from '#shared/hand-off'
import { IpFilter } from '#shared/ip-filter'
import { createRangesMemory } from '#shared/ip-ranges'
import { createLogger } from '#shared/logger'
import { CounterRow, CounterSums, createCountersMemory } from '#shared/state/counters'
import { createHandshakesMemory, Handshakes, type HandshakeLimits } from '#shared/state/handshakes'
import { slot } from '#shared/state/layout'
import { openHandle } from '#shared/socket-handle'
import type { WorkerControl } from '#shared/worker-control'
import { closed, LIVENESS_MS, openPair } from '../support/socket-pair.ts'

const SILENT = createLogger({ level: 'silent', destination: 1, pretty: false })
const NO_LIMITS: HandshakeLimits = { maxHandshakes: 0, maxHandshakesPerAddress: 0 }
const LIMIT = { timeout: LIVENESS_MS }

interface Bench {
  handOffs: HandOffs
  handshakes: Handshakes
  /** Settable: connections that all threads hold. */
  pool: { held: number }
  count: (
    metric: 'concurrency_limited' | 'hand_offs_failed' | 'handshakes_limited',
    labels?: Record<string, string>,
  ) => number
}

/** @param port of the only thread, or null while there is none */
async function createBench(
  concurrency: number,
  port: MessagePort | null,
  ipFilter: IpFilter = new IpFilter({ allowlist: null, blocklist: null }),
  limits: Partial<HandshakeLimits> = {},
): Promise<Bench> {
  const memory = createCountersMemory(1)
  const sums = new CounterSums(memory)
  const handshakes = new Handshakes(createHandshakesMemory(1))
  const counters = new CounterRow(memory, 1)
  const thread = new WorkerThread(0, sums)
  const control = { ready: () => Promise.resolve(true) }
  // Of the control port nothing but `ready` is called here.
  if (port !== null) await thread.attach(port, control as unknown as Remote<WorkerControl>)
  const pool = { held: 0, load: () => pool.held, leastLoaded: () => (port === null ? null : thread) }
  return {
    // `HandOffs` calls nothing of a pool but these two.
    handOffs: new HandOffs(pool as unknown as WorkerPool, counters, {
      config: { concurrency, proxyProtocolListener: false, defense: { ...NO_LIMITS, ...limits } },
      handshakes,
      ipFilter,
      log: SILENT,
    }),
    pool,
    handshakes,
    count: (metric, labels) => {
      counters.publish()
      return sums.sum(slot(metric, labels))
    },
  }
}

/** As a worker does that takes it and drops it. */
function close(handle: HandOff['handle']): void {
  if (handle instanceof Socket) handle.destroy()
  else handle.close()
}

/** A port that does with hand-offs what it is told to. */
function fakePort(onHandOff: (handOff: HandOff) => void): MessagePort {
  // Of a port nothing but `postMessage` is called here.
  return { postMessage: onHandOff } as unknown as MessagePort
}

type Moved = HandOff & { socket: Socket }

/** The two ends that primary and worker have: what is posted to `near` comes out of `next`. */
function openPort(t: TestContext): { near: MessagePort; next: () => Promise<Moved> } {
  const { port1, port2 } = new MessageChannel()
  t.after(() => port1.close())
  const next = async (): Promise<Moved> => {
    const [handOff] = (await once(port2, 'message')) as [HandOff] // what was posted, moved
    assert.ok(!(handOff.handle instanceof Socket), 'the handle alone')
    const socket = openHandle(handOff.handle)
    t.after(() => socket.destroy())
    return { ...handOff, socket }
  }
  return { near: port1, next }
}

/** The client sees its connection closed. */
async function isClosedFor(peer: Socket): Promise<void> {
  peer.resume()
  await Promise.race([once(peer, 'end'), closed(peer)])
}

test('a socket moves to the worker with its address and nothing of it is lost', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const port = openPort(t)
  const { handOffs, count } = await createBench(10, port.near)
  await new Promise<void>((resolve) => peer.write('said before the hand-off', () => resolve()))
  const arriving = port.next()
  const remotePort = accepted.remotePort
  handOffs.take(accepted)
  assert.equal(accepted.destroyed, true, 'a shell is left')
  const moved = await arriving
  assert.deepEqual([moved.remoteAddress, moved.remotePort, moved.userHints], ['127.0.0.1', remotePort, []])
  moved.socket.resume()
  const [chunk] = await once(moved.socket, 'data')
  assert.equal(String(chunk), 'said before the hand-off')
  assert.equal(count('hand_offs_failed'), 0)
})

test(
  'at the limit of connections sockets are closed and counted, below it they are taken again',
  LIMIT,
  async (t) => {
    let taken = 0
    const { handOffs, pool, count } = await createBench(
      2,
      fakePort(({ handle }) => {
        taken += 1
        close(handle)
      }),
    )
    for (const [held, limited] of [
      [1, 0],
      [2, 1],
      [3, 2],
      [1, 2],
    ] as const) {
      pool.held = held
      const { peer, accepted } = await openPair(t)
      handOffs.take(accepted)
      await isClosedFor(peer)
      assert.equal(count('concurrency_limited'), limited)
    }
    assert.equal(taken, 2)
  },
)

test('the IP lists are asked before the limit; who is to be fronted goes on, marked', LIMIT, async (t) => {
  const nobody = createRangesMemory({ v4: 0, v6: 0 })
  const ipFilter = new IpFilter({ allowlist: { ranges: nobody, action: 'close' }, blocklist: null })
  const marks: boolean[] = []
  const port = fakePort(({ handle, mustFront }) => {
    marks.push(mustFront)
    close(handle)
  })
  const { handOffs, pool, count } = await createBench(1, port, ipFilter)
  const take = async (): Promise<void> => {
    const { peer, accepted } = await openPair(t)
    handOffs.take(accepted)
    await isClosedFor(peer)
  }
  pool.held = 1
  await take()
  assert.equal(count('concurrency_limited'), 0)
  ipFilter.set({ allowlist: { ranges: nobody, action: 'front' }, blocklist: null })
  await take()
  assert.equal(count('concurrency_limited'), 1)
  pool.held = 0
  await take()
  ipFilter.set({ allowlist: null, blocklist: null })
  await take()
  assert.deepEqual(marks, [true, false])
})

test(
  'a balancer goes on unasked and says so: what was not asked here is asked there, whatever is reloaded',
  LIMIT,
  async (t) => {
    const nobody = createRangesMemory({ v4: 0, v6: 0 })
    const ipFilter = new IpFilter({ allowlist: { ranges: nobody, action: 'front' }, blocklist: null })
    const marks: [boolean, boolean][] = []
    const port = fakePort(({ handle, mustFront, isProxied }) => {
      marks.push([mustFront, isProxied])
      close(handle)
    })
    const { handOffs } = await createBench(10, port, ipFilter)
    for (const proxyProtocolListener of [false, true, false]) {
      handOffs.setConfig({ concurrency: 10, proxyProtocolListener, defense: NO_LIMITS })
      const { peer, accepted } = await openPair(t)
      handOffs.take(accepted)
      await isClosedFor(peer)
    }
    assert.deepEqual(marks, [
      [true, false],
      [false, true],
      [true, false],
    ])
  },
)
test('unfinished handshakes are limited; a failed hand-off leaves none behind', LIMIT, async (t) => {
  const sources: number[] = []
  let isLost = true
  const port = fakePort(({ handle, handshakeSource }) => {
    if (isLost) return
    sources.push(handshakeSource)
    close(handle)
  })
  const limits = { maxHandshakes: 2, maxHandshakesPerAddress: 1 }
  const { handOffs, handshakes, count } = await createBench(10, port, undefined, limits)
  const take = async (): Promise<void> => {
    const { peer, accepted } = await openPair(t)
    handOffs.take(accepted)
    await isClosedFor(peer)
  }
  await take()
  assert.equal(count('hand_offs_failed'), 1)
  assert.equal(handshakes.total, 0)
  isLost = false
  await take()
  await take()
  assert.equal(count('handshakes_limited', { reason: 'address' }), 1)
  assert.equal(handshakes.total, 1)
  const defense = { maxHandshakes: 2, maxHandshakesPerAddress: 0 }
  handOffs.setConfig({ concurrency: 10, proxyProtocolListener: false, defense })
  await take()
  await take()
  assert.equal(count('handshakes_limited', { reason: 'total' }), 1)
  assert.equal(sources.length, 2)
  for (const source of sources) handshakes.leave(0, source)
  assert.equal(handshakes.total, 0)
})

test('a socket posted to a thread that is gone is closed, not leaked', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const { handOffs, count } = await createBench(
    10,
    fakePort(() => {}),
  ) // as a post to a dead Worker: silence
  handOffs.take(accepted)
  await isClosedFor(peer)
  assert.equal(count('hand_offs_failed'), 1)
})

test('a socket posted to a closed port is closed', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const port = openPort(t)
  port.near.close()
  const { handOffs } = await createBench(10, port.near)
  handOffs.take(accepted)
  await isClosedFor(peer)
  assert.equal(accepted.destroyed, true)
})

test('a socket that cannot be moved is closed and counted', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const { handOffs, count } = await createBench(
    10,
    fakePort(() => {
      throw new DOMException('cannot be transferred', 'DataCloneError')
    }),
  )
  handOffs.take(accepted)
  await isClosedFor(peer)
  assert.equal(count('hand_offs_failed'), 1)
})

test('while no thread is there sockets are closed and counted', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const { handOffs, count } = await createBench(10, null)
  handOffs.take(accepted)
  assert.equal(accepted.destroyed, true, 'handed over or destroyed')
  await isClosedFor(peer)
  assert.equal(count('hand_offs_failed'), 1)
})

test('a socket that was reset before it could be looked at is closed', LIMIT, async (t) => {
  const { accepted } = await openPair(t)
  const { handOffs } = await createBench(
    10,
    fakePort(() => assert.fail('handed over')),
  )
  Object.defineProperty(accepted, 'remoteAddress', { value: undefined }) // as getpeername says after a reset
  handOffs.take(accepted)
  assert.equal(accepted.destroyed, true)
})

test('users seen lately on a network are the hints for its next connection', LIMIT, async (t) => {
  const hints: (readonly number[])[] = []
  const { handOffs } = await createBench(
    10,
    fakePort(({ handle, userHints }) => {
      hints.push(userHints)
      close(handle)
    }),
  )
  const connect = async (): Promise<void> => handOffs.take((await openPair(t)).accepted)
  await connect()
  handOffs.remember({ remoteAddress: '127.0.0.200', userSlot: 7 })
  handOffs.remember({ remoteAddress: '127.0.1.1', userSlot: 8 })
  await connect()
  handOffs.remember({ remoteAddress: '127.0.0.1', userSlot: 9 })
  await connect()
  assert.deepEqual(hints, [[], [7], [9, 7]])
})

test(
  'a thread has as many as were handed to it and have not ended, failed hand-offs not among them',
  LIMIT,
  async (t) => {
    const memory = createCountersMemory(1)
    const thread = new WorkerThread(0, new CounterSums(memory))
    const { port1, port2 } = new MessageChannel()
    const control = { ready: () => Promise.resolve(true) }
    await thread.attach(port1, control as unknown as Remote<WorkerControl>) // nothing else of it is called
    const known = {
      remoteAddress: '127.0.0.1',
      remotePort: 1,
      userHints: [],
      mustFront: false,
      isProxied: false,
      handshakeSource: -1,
      acceptedAtMs: 0,
    }
    port2.on('message', ({ handle }: HandOff) => close(handle))
    for (const load of [1, 2]) {
      assert.equal(thread.handOff((await openPair(t)).accepted, known), true)
      assert.deepEqual([thread.load, thread.handedOver], [load, load])
    }
    const { accepted } = await openPair(t)
    accepted.destroy()
    assert.equal(thread.handOff(accepted, known), false)
    assert.equal(thread.load, 2)
    const row = new CounterRow(memory, 0)
    row.addClosed()
    row.publish()
    assert.deepEqual([thread.load, thread.handedOver], [1, 2])
    port2.close()
  },
)
