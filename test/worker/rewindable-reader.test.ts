import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { HandshakeError } from '#shared/errors'
import { deadlinePassed, MAX_UNREAD_BYTES, peerClosed, RewindableReader } from '#worker/rewindable-reader'
import { bytes, cutAt, cuts } from '../support/generators.ts'

test('reads are exact however the bytes arrive, and all of them can be replayed in order', async () => {
  const cases = bytes(0, 6000).chain((sent) =>
    fc.tuple(fc.constant(sent), cuts(sent.length), cuts(sent.length)),
  )
  await fc.assert(
    fc.asyncProperty(cases, async ([sent, arrivals, reads]) => {
      const reader = new RewindableReader()
      const wanted = cutAt(sent, reads)
      const got: Buffer[] = []
      const reading = (async () => {
        for (const piece of wanted) got.push(await reader.readExact(piece.length))
      })()
      for (const chunk of cutAt(sent, arrivals)) {
        const reused = Buffer.from(chunk)
        reader.push(reused)
        reused.fill(0xff) // the socket reads into the same memory again
        await Promise.resolve()
      }
      await reading
      assert.deepEqual(got, wanted)
      assert.deepEqual(reader.allBytes(), sent)
      assert.equal(reader.receivedBytes, sent.length)
      assert.equal(reader.unreadBytes, 0)
    }),
  )
})

test('what was read stays as it was while more arrives', async () => {
  const reader = new RewindableReader()
  reader.push(Buffer.alloc(2000, 1))
  const early = await reader.readExact(2000)
  for (let i = 0; i < 20; i++) reader.push(Buffer.alloc(3000, 2))
  assert.deepEqual(early, Buffer.alloc(2000, 1))
  const all = Buffer.concat([Buffer.alloc(2000, 1), Buffer.alloc(60_000, 2)])
  assert.ok(reader.allBytes().equals(all), 'nor is what came before lost where the buffer has to grow')
})

test('taking the unread bytes leaves none, and what comes later follows on', async () => {
  const reader = new RewindableReader()
  reader.push(Buffer.from('hello, world'))
  assert.equal(String(await reader.readExact(5)), 'hello')
  assert.equal(String(reader.takeUnread()), ', world')
  assert.equal(reader.takeUnread().length, 0)
  reader.push(Buffer.from('more'))
  assert.equal(String(await reader.readExact(4)), 'more')
  assert.equal(String(reader.allBytes()), 'hello, worldmore')
})

test('a failure rejects the read that waits and every later one that cannot be satisfied, with the first error', async () => {
  const reader = new RewindableReader()
  const waiting = reader.readExact(4)
  reader.push(Buffer.from('abc'))
  reader.fail(deadlinePassed())
  reader.fail(peerClosed())
  await assert.rejects(waiting, { name: 'HandshakeError', code: 'deadline' })
  assert.equal(
    String(await reader.readExact(3)),
    'abc',
    'bytes that arrived before the failure are still there',
  )
  assert.equal((await reader.readExact(0)).length, 0)
  await assert.rejects(reader.readExact(1), { code: 'deadline' })
  assert.equal(String(reader.allBytes()), 'abc')
})

test('the errors of a silent and of a closed peer carry their codes', () => {
  assert.ok(peerClosed() instanceof HandshakeError)
  assert.equal(peerClosed().code, 'peer-closed')
  assert.equal(peerClosed().frontHost, null)
  assert.equal(deadlinePassed().code, 'deadline')
})

test('a reader is full from its limit of unread bytes on, and no longer once they are read', async () => {
  const reader = new RewindableReader()
  reader.push(Buffer.alloc(MAX_UNREAD_BYTES - 1))
  assert.equal(reader.isFull, false)
  reader.push(Buffer.alloc(1))
  assert.equal(reader.isFull, true)
  await reader.readExact(1)
  assert.equal(reader.isFull, false)
})
