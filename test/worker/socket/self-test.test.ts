import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteSocket } from '#worker/socket/byte-socket'
import { canShareReadBuffer } from '#worker/socket/self-test'
import { LIVENESS_MS } from '../../support/socket-pair.ts'

test('this Node lets accepted sockets share a read buffer', { timeout: LIVENESS_MS }, async () => {
  assert.equal(await canShareReadBuffer(), true)
})

test('a Node that reads into memory of its own is found out', { timeout: LIVENESS_MS }, async (t) => {
  const adopt = ByteSocket.adopt.bind(ByteSocket)
  t.mock.method(ByteSocket, 'adopt', (...[socket, slots]: Parameters<typeof adopt>) =>
    adopt(socket, slots, null),
  )
  assert.equal(await canShareReadBuffer(), false)
})

test('a Node that refuses to wrap a handle is found out', { timeout: LIVENESS_MS }, async (t) => {
  t.mock.method(ByteSocket, 'adopt', () => {
    throw new TypeError('no such option')
  })
  assert.equal(await canShareReadBuffer(), false)
})
