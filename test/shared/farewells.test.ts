import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { FAREWELL_MS, Farewells, MAX_FAREWELL_BYTES, MAX_FAREWELLS } from '#shared/farewells'
import { closed, LIVENESS_MS, openPair, readToEnd } from '../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS * 2 }

/** `ECONNRESET` and the like, as soon as there is one. */
function watchErrors(socket: Socket): { readonly codes: string[] } {
  const seen = { codes: [] as string[] }
  socket.on('error', (error: NodeJS.ErrnoException) => seen.codes.push(error.code ?? error.name))
  return seen
}

const write = (socket: Socket, bytes: Uint8Array | string): Promise<void> =>
  new Promise((resolve) => socket.write(bytes, () => resolve()))

test('what the kernel does by itself: closing over unread bytes is a reset', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const errors = watchErrors(peer)
  await write(peer, 'a hello that nobody reads')
  accepted.destroy()
  peer.resume()
  await closed(peer)
  assert.deepEqual(errors.codes, ['ECONNRESET'])
})

test(
  'a peer that is let go gets a FIN, whether it has spoken, speaks on or says nothing',
  LIMIT,
  async (t) => {
    for (const [before, after] of [
      ['a hello', ''],
      ['a hello', 'and more'],
      ['', 'too late'],
      ['', ''],
    ] as const) {
      const { peer, accepted } = await openPair(t)
      const errors = watchErrors(peer)
      const farewells = new Farewells()
      if (before !== '') await write(peer, before)
      farewells.dismiss(accepted, 0)
      assert.equal((await readToEnd(peer)).length, 0)
      if (after !== '') await write(peer, after)
      const gone = closed(accepted)
      peer.end()
      await Promise.all([gone, closed(peer)])
      assert.deepEqual(errors.codes, [], `${before}, then ${after}`)
      assert.equal(farewells.size, 0)
    }
  },
)

test('what is queued leaves before the FIN', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  accepted.write(Buffer.alloc(300_000, 7))
  new Farewells().dismiss(accepted, 0)
  assert.equal((await readToEnd(peer)).length, 300_000)
})

test('a peer that does not leave is closed when its time is up, and not before', LIMIT, async (t) => {
  const { accepted } = await openPair(t)
  const farewells = new Farewells()
  farewells.dismiss(accepted, 5000)
  farewells.dismiss(accepted, 9000) // twice is fine, and changes nothing
  farewells.sweep(5000 + FAREWELL_MS - 1)
  assert.equal(accepted.destroyed, false)
  farewells.sweep(5000 + FAREWELL_MS)
  assert.equal(accepted.destroyed, true)
  assert.equal(farewells.size, 0)
})

test('a peer that pours in bytes is closed before its time is up', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const farewells = new Farewells()
  farewells.dismiss(accepted, 0)
  farewells.sweep(1)
  assert.equal(accepted.destroyed, false)
  const gone = closed(accepted)
  peer.write(Buffer.alloc(MAX_FAREWELL_BYTES))
  while (!accepted.destroyed) {
    farewells.sweep(1)
    await new Promise(setImmediate)
  }
  await gone
})

test('of more than can be held the oldest is closed, and it has its FIN already', LIMIT, async (t) => {
  const farewells = new Farewells()
  const first = await openPair(t)
  const errors = watchErrors(first.peer)
  await write(first.peer, 'a hello')
  farewells.dismiss(first.accepted, 0)
  await readToEnd(first.peer)
  for (let n = 0; n < MAX_FAREWELLS; n++) {
    const { accepted } = await openPair(t)
    farewells.dismiss(accepted, 0)
    assert.equal(first.accepted.destroyed, n === MAX_FAREWELLS - 1)
  }
  assert.equal(farewells.size, MAX_FAREWELLS)
  first.peer.end()
  await closed(first.peer)
  assert.deepEqual(errors.codes, [])
  farewells.end()
  assert.equal(farewells.size, 0)
})

test('a peer that resets meanwhile, or has done so, hurts nobody', LIMIT, async (t) => {
  const farewells = new Farewells()
  const { peer, accepted } = await openPair(t)
  farewells.dismiss(accepted, 0)
  peer.resetAndDestroy()
  await closed(accepted)
  farewells.dismiss(accepted, 0)
  assert.equal(farewells.size, 0)
  const other = await openPair(t)
  other.peer.resetAndDestroy()
  await once(other.peer, 'close')
  farewells.dismiss(other.accepted, 0)
  await closed(other.accepted)
  assert.equal(farewells.size, 0)
})
