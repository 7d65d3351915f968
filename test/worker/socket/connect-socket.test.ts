import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { ByteSocket } from '#worker/socket/byte-socket'
import { connectSocket } from '#worker/socket/connect-socket'
import { CountedSlots, LIVENESS_MS, patternBytes, RecordingSink } from '../../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS }
const HOST = '127.0.0.1'

async function listen(
  t: TestContext,
  onSocket: (socket: Socket) => void,
): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    t.after(() => socket.destroy())
    onSocket(socket)
  })
  server.listen(0, HOST)
  await once(server, 'listening')
  t.after(() => server.close())
  // A listening TCP server has an AddressInfo, never a path.
  return { server, port: (server.address() as AddressInfo).port }
}

for (const [path, buffer] of [
  ['a shared read buffer', Buffer.allocUnsafeSlow(32 * 1024)],
  ["'data' events", null],
] as const) {
  test(`with ${path}: an opened connection echoes 1 MB exact, and half-closes`, LIMIT, async (t) => {
    const { port } = await listen(t, (socket) => socket.pipe(socket))
    const socket = await connectSocket(
      { host: HOST, port },
      new CountedSlots(),
      buffer,
      new AbortController().signal,
    )
    t.after(() => socket.destroy())
    const sink = new RecordingSink()
    socket.setSink(sink)
    socket.resume()
    const sent = patternBytes(1024 * 1024)
    socket.write(sent)
    socket.end()
    await sink.saw('closed')
    assert.ok(sink.received.equals(sent))
    assert.deepEqual(
      sink.events.filter((event) => event !== 'drained'),
      ['ended', 'closed'],
    )
  })

  test(`with ${path}: what a server says first is kept until resume`, LIMIT, async (t) => {
    const { port } = await listen(t, (socket) => socket.end('banner'))
    const socket = await connectSocket(
      { host: HOST, port },
      new CountedSlots(),
      buffer,
      new AbortController().signal,
    )
    t.after(() => socket.destroy())
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    const sink = new RecordingSink()
    socket.setSink(sink)
    assert.equal(sink.received.length, 0)
    socket.resume()
    await sink.saw('ended')
    assert.equal(String(sink.received), 'banner')
  })
}

test('a closed port rejects with the system’s error', LIMIT, async (t) => {
  const { server, port } = await listen(t, () => {})
  server.close()
  await once(server, 'close')
  const dial = connectSocket({ host: HOST, port }, new CountedSlots(), null, new AbortController().signal)
  await assert.rejects(dial, { code: 'ECONNREFUSED' })
})

test('a cancelled dial rejects, and its socket is closed', LIMIT, async (t) => {
  const { port } = await listen(t, (socket) => socket.resume())
  const connect = ByteSocket.connect.bind(ByteSocket)
  const opened: ByteSocket[] = []
  t.mock.method(ByteSocket, 'connect', (...args: Parameters<typeof connect>) => {
    const socket = connect(...args)
    opened.push(socket)
    return socket
  })
  const gone = AbortSignal.abort()
  await assert.rejects(connectSocket({ host: HOST, port }, new CountedSlots(), null, gone), /cancelled/)
  const leaving = new AbortController()
  const dial = connectSocket({ host: HOST, port }, new CountedSlots(), null, leaving.signal)
  leaving.abort()
  await assert.rejects(dial, /cancelled/)
  assert.deepEqual(
    opened.map(({ socket }) => socket.destroyed),
    [true, true],
  )
})

test('a signal that fires after the connection is open does not close it', LIMIT, async (t) => {
  const { port } = await listen(t, (socket) => socket.pipe(socket))
  const late = new AbortController()
  const socket = await connectSocket({ host: HOST, port }, new CountedSlots(), null, late.signal)
  t.after(() => socket.destroy())
  late.abort()
  const sink = new RecordingSink()
  socket.setSink(sink)
  socket.resume()
  socket.write(Buffer.from('still here'))
  socket.end()
  await sink.saw('closed')
  assert.equal(String(sink.received), 'still here')
})
