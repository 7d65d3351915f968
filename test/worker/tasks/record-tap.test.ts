import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { RecordTap } from '#worker/tasks/record-tap'
import { LIVENESS_MS, openPair } from '../../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS }
const HANDSHAKE = 0x16
const DATA = 0x17

/** A TLS record with so many zeros. */
function record(type: number, bytes: number): Buffer {
  const wire = Buffer.alloc(5 + bytes)
  wire.writeUInt8(type)
  wire.writeUInt16BE(0x0303, 1)
  wire.writeUInt16BE(bytes, 3)
  return wire
}

test('a server that sends records without end is left at the limit', LIMIT, async (t) => {
  const { accepted, peer } = await openPair(t)
  const tap = new RecordTap(peer)
  tap.resume()
  const failed = once(tap, 'error')
  peer.on('error', () => {})
  accepted.on('error', () => {}) // may be a reset
  accepted.write(Buffer.concat(Array.from({ length: 32_768 }, () => record(DATA, 0))))
  while (tap.records.length < 32_768) await once(peer, 'data')
  assert.equal(tap.destroyed, false)
  accepted.write(record(DATA, 1))
  const [error] = (await failed) as [Error]
  assert.equal(error.message, 'more than 32768 records')
})

test('of what a server says in the clear 8 KiB are kept', LIMIT, async (t) => {
  const { accepted, peer } = await openPair(t)
  const tap = new RecordTap(peer)
  tap.resume()
  for (let count = 0; count < 20; count++) accepted.write(record(HANDSHAKE, 1000))
  while (tap.records.length < 20) await once(peer, 'data')
  const { length } = tap.clearHandshake
  assert.ok(length >= 7000 && length <= 8192, `${length} bytes`)
  accepted.end()
})
