import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { HandOffs } from '#primary/hand-off'
import type { WorkerPool, WorkerThread } from '#primary/worker-pool'
import type { HandOff } from '#shared/hand-off'
import { CounterRow, CounterSums, createCountersMemory } from '#shared/state/counters'
import { slot } from '#shared/state/layout'
import { closed, LIVENESS_MS, openPair } from '../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS }

interface Bench {
  handOffs: HandOffs
  /** Settable: connections that all threads hold. */
  pool: { held: number; worker: { handOff: (handOff: HandOff) => void } | null }
  count: (metric: 'concurrency_limited' | 'hand_offs_failed') => number
}

function createBench(concurrency: number, handOff: ((handOff: HandOff) => void) | null): Bench {
  const memory = createCountersMemory(0)
  const counters = new CounterRow(memory, 0)
  const pool: Bench['pool'] = { held: 0, worker: handOff === null ? null : { handOff } }
  const asPool = {
    load: () => pool.held,
    // `HandOffs` calls nothing of a thread but `handOff`.
    leastLoaded: () => pool.worker as unknown as WorkerThread | null,
  }
  return {
    // It calls nothing of a pool but these two.
    handOffs: new HandOffs(asPool as unknown as WorkerPool, counters, concurrency),
    pool,
    count: (metric) => {
      counters.publish()
      return new CounterSums(memory).sum(slot(metric))
    },
  }
}

/** A port as a worker has it: what is posted to `near` comes out as hand-offs. */
function openPort(t: TestContext): {
  post: (handOff: HandOff) => void
  next: () => Promise<HandOff>
  close: () => void
} {
  const { port1, port2 } = new MessageChannel()
  t.after(() => port1.close())
  return {
    post: (handOff) => port1.postMessage(handOff, [handOff.socket]),
    next: async () => {
      const [handOff] = (await once(port2, 'message')) as [HandOff] // what `post` was given, moved
      t.after(() => handOff.socket.destroy())
      return handOff
    },
    close: () => port1.close(),
  }
}

/** The client sees its connection closed. */
async function isClosedFor(peer: Socket): Promise<void> {
  peer.resume()
  await Promise.race([once(peer, 'end'), closed(peer)])
}

test('a socket moves to the worker with its address and nothing of it is lost', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const port = openPort(t)
  const { handOffs, count } = createBench(10, port.post)
  await new Promise<void>((resolve) => peer.write('said before the hand-off', () => resolve()))
  const arriving = port.next()
  const remotePort = accepted.remotePort
  handOffs.take(accepted)
  assert.equal(accepted.destroyed, true, 'a shell is left')
  const moved = await arriving
  assert.deepEqual([moved.remoteAddress, moved.remotePort, moved.userHint], ['127.0.0.1', remotePort, -1])
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
    const { handOffs, pool, count } = createBench(2, ({ socket }) => {
      taken += 1
      socket.destroy()
    })
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

test('a socket posted to a thread that is gone is closed, not leaked', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const { handOffs, count } = createBench(10, () => {}) // as a post to a dead Worker: silence
  handOffs.take(accepted)
  await isClosedFor(peer)
  assert.equal(count('hand_offs_failed'), 1)
})

test('a socket posted to a closed port is closed', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const port = openPort(t)
  port.close()
  const { handOffs } = createBench(10, port.post)
  handOffs.take(accepted)
  await isClosedFor(peer)
  assert.equal(accepted.destroyed, true)
})

test('a socket that cannot be moved is closed and counted', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const { handOffs, count } = createBench(10, () => {
    throw new DOMException('cannot be transferred', 'DataCloneError')
  })
  handOffs.take(accepted)
  await isClosedFor(peer)
  assert.equal(count('hand_offs_failed'), 1)
})

test('while no thread is there sockets are closed and counted', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const { handOffs, count } = createBench(10, null)
  handOffs.take(accepted)
  assert.equal(accepted.destroyed, true, 'handed over or destroyed')
  await isClosedFor(peer)
  assert.equal(count('hand_offs_failed'), 1)
})

test('a socket that was reset before it could be looked at is closed', LIMIT, async (t) => {
  const { accepted } = await openPair(t)
  const { handOffs } = createBench(10, () => assert.fail('handed over'))
  Object.defineProperty(accepted, 'remoteAddress', { value: undefined }) // as getpeername says after a reset
  handOffs.take(accepted)
  assert.equal(accepted.destroyed, true)
})

test('the user seen last from a network is the hint for its next connection', LIMIT, async (t) => {
  const hints: number[] = []
  const { handOffs } = createBench(10, ({ socket, userHint }) => {
    hints.push(userHint)
    socket.destroy()
  })
  const connect = async (): Promise<void> => handOffs.take((await openPair(t)).accepted)
  await connect()
  handOffs.remember({ remoteAddress: '127.0.0.200', userSlot: 7 })
  handOffs.remember({ remoteAddress: '127.0.1.1', userSlot: 8 })
  await connect()
  handOffs.remember({ remoteAddress: '127.0.0.1', userSlot: 9 })
  await connect()
  assert.deepEqual(hints, [-1, 7, 9])
})
