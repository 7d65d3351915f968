import assert from 'node:assert/strict'
import { createCipheriv, createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'

import { buildClientHello, GROUP_X25519, signClientHello, splitIntoRecords } from './client-hello.ts'
import {
  buildClientFrame,
  buildRecords,
  connectFakeTls,
  FakeTlsError,
  verifyServerFlight,
} from './faketls-client.ts'
import { acceptFrame, patternSlice, startStreamDc } from './stream-dc.ts'

const KEY = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')
const HOST = 'example.com'
const SECRET = `ee${KEY.toString('hex')}${Buffer.from(HOST).toString('hex')}`
/** wire.md §2.6 */
const HELLO = Buffer.from(
  '16030100670100006303038f0b35ca835a0e427e20f71bb4cf40fe342e8975e7d84c810e343896929b3adf20' +
    '5a'.repeat(32) +
    '00065a5a130113020100001400000010000e00000b6578616d706c652e636f6d',
  'hex',
)
const PLAIN_FRAME = Buffer.from(Array.from({ length: 64 }, (_, index) => (7 * index + 1) & 255))

/** wire.md §3, with a public value of 32 × 42 and `applicationDataBytes` zero bytes. */
function buildFlight(hello: Buffer, applicationDataBytes: number, digest?: Buffer): Buffer {
  const flight = Buffer.concat([
    Buffer.from('160303007a020000760303', 'hex'),
    Buffer.alloc(32),
    hello.subarray(43, 76), // session id with its length
    Buffer.from('130100002e002b0002030400330024001d0020', 'hex'),
    Buffer.alloc(32, 0x42),
    Buffer.from('140303000101170303', 'hex'),
    Buffer.of(applicationDataBytes >> 8, applicationDataBytes & 255),
    Buffer.alloc(applicationDataBytes),
  ])
  const signature = createHmac('sha256', KEY).update(hello.subarray(11, 43)).update(flight).digest()
  ;(digest ?? signature).copy(flight, 11)
  return flight
}

test('a hello is signed as the known answer is', () => {
  const hello = Buffer.from(HELLO)
  hello.fill(0, 11, 43)
  signClientHello(hello, KEY, 1_700_000_000)
  assert.deepEqual(hello, HELLO)
})

test('hellos have the size asked for and one record that they fill', () => {
  for (const [size, host] of [
    [517, HOST],
    [517, 'a.b'],
    [1800, 'storage.googleapis.com'],
    [2200, HOST],
  ] as const) {
    const { bytes, sessionId } = buildClientHello({ key: KEY, host, size })
    assert.equal(bytes.length, size)
    assert.equal(bytes.readUInt16BE(3), size - 5)
    assert.equal(bytes.readUIntBE(6, 3), size - 9)
    assert.deepEqual(bytes.subarray(44, 76), sessionId)
    assert.equal(bytes.readUInt16BE(78) & 0x0f0f, 0x0a0a, 'GREASE comes first')
    assert.equal(bytes.readUInt16BE(80), 0x1301)
    assert.ok(bytes.includes(`\x00${String.fromCharCode(host.length)}${host}`, 0, 'latin1'))
  }
})

test('a hello cut into records holds the same message', () => {
  const { bytes } = buildClientHello({ key: KEY, host: HOST })
  const cut = splitIntoRecords(bytes, [1, 3, 200])
  assert.equal(cut.toString('hex', 0, 15), '160301000101160301000200011603')
  assert.equal(cut.length, bytes.length + 3 * 5)
  assert.ok(cut.subarray(-300).equals(bytes.subarray(-300)))
})

test('the flight of the known answer is verified, and every changed byte of it is refused', () => {
  const hello = { bytes: HELLO, random: HELLO.subarray(11, 43), sessionId: HELLO.subarray(44, 76) }
  const flight = buildFlight(
    HELLO,
    1000,
    Buffer.from('7dec180871932be1e6d3fc466c3e5f99405f56a6a602fba3d170edb11f5a85f0', 'hex'),
  )
  assert.deepEqual(verifyServerFlight(KEY, hello, flight), {
    cipher: 0x1301,
    group: GROUP_X25519,
    serverHelloBytes: 127,
    applicationDataBytes: 1000,
    totalBytes: 1138,
  })
  for (const offset of flight.keys()) {
    const spoilt = Buffer.from(flight)
    spoilt[offset] = (spoilt[offset] ?? 0) ^ 0x01
    // A longer length is incomplete rather than wrong: the client would wait for the rest.
    const verify = (): void => assert.equal(verifyServerFlight(KEY, hello, spoilt), null)
    assert.ok(offset === 4 || offset === 136 || offset === 137 || throwsFlight(verify), `byte ${offset}`)
    assert.equal(verifyServerFlight(KEY, hello, flight.subarray(0, offset)), null, `cut at ${offset}`)
  }
})

test('a flight that is signed but says the wrong thing is refused', () => {
  const hello = { bytes: HELLO, random: HELLO.subarray(11, 43), sessionId: HELLO.subarray(44, 76) }
  const cases: [string, number, number][] = [
    ['another handshake type', 5, 0x01],
    ['another session id', 50, 0x5b],
    ['a cipher that was not offered', 77, 0x03],
    ['compression', 78, 0x01],
    ['TLS 1.2', 86, 0x03],
    ['a group that was not offered', 92, 0x1e],
    ['another extension', 88, 0x32],
    ['another ChangeCipherSpec', 132, 0x02],
  ]
  for (const [what, offset, value] of cases) {
    const flight = buildFlight(HELLO, 1000, Buffer.alloc(32))
    assert.notEqual(flight[offset], value, what)
    flight[offset] = value
    createHmac('sha256', KEY).update(hello.random).update(flight).digest().copy(flight, 11)
    assert.throws(
      () => verifyServerFlight(KEY, hello, flight),
      { name: 'FakeTlsError', code: 'flight' },
      what,
    )
  }
})

function throwsFlight(action: () => void): boolean {
  try {
    action()
    return false
  } catch (error) {
    return error instanceof FakeTlsError
  }
}

test('the frame and both directions are the known answers', () => {
  const client = buildClientFrame(KEY, -2, PLAIN_FRAME)
  assert.equal(client.frame.toString('hex', 56), '57db92e7c36f2e16')
  assert.deepEqual(client.frame.subarray(0, 56), PLAIN_FRAME.subarray(0, 56))
  assert.equal(client.up.update('ping').toString('hex'), '959a7411')
  assert.equal(client.down.update(Buffer.from('cda4a27b', 'hex')).toString(), 'pong')
})

test('the data centre reads the frame of the known answer', () => {
  const frame = Buffer.concat([PLAIN_FRAME.subarray(0, 56), Buffer.from('6d0064bcd4adf691', 'hex')])
  const { receive, dc, transport } = acceptFrame(frame)
  assert.equal(dc, 4)
  assert.equal(transport.toString('hex'), 'dddddddd')
  assert.equal(receive.update(Buffer.from('93a9bc32', 'hex')).toString(), 'ping')
})

test('the pattern is one stream however it is cut', () => {
  const whole = patternSlice(0, 400_000)
  for (const [offset, length] of [
    [0, 1],
    [65_520, 2],
    [65_521, 131_042],
    [100_003, 290_000],
  ] as const) {
    assert.ok(
      patternSlice(offset, length).equals(whole.subarray(offset, offset + length)),
      `${offset}+${length}`,
    )
  }
})

/** As much of a proxy as one connection needs; `answer` may change what goes out. */
async function startMiniProxy(answer: (socket: Socket, hello: Buffer) => void): Promise<{
  port: number
  close: () => void
}> {
  const live = new Set<Socket>()
  const server = createServer((socket) => {
    live.add(socket)
    let hello = Buffer.alloc(0)
    const collect = (chunk: string | Buffer): void => {
      hello = Buffer.concat([hello, chunk as Buffer]) // no encoding is set
      if (hello.length < 517) return
      socket.off('data', collect)
      answer(socket, hello)
    }
    socket.on('data', collect)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close()
      for (const socket of live) socket.destroy()
    },
  }
}

function echoRecords(socket: Socket, sizes: readonly number[]): void {
  let received = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk as Buffer]) // no encoding is set
    // ChangeCipherSpec, then one record with the frame and 4 bytes
    if (received.length < 6 + 5 + 64 + 4) return
    const payload = received.subarray(11)
    // The server's ciphers are the client's: both are CTR.
    const frame = payload.subarray(0, 64)
    const mirror = mirrorCiphers(frame)
    const text = mirror.up.update(payload.subarray(64))
    const answer = mirror.down.update(Buffer.concat([text, Buffer.alloc(sizes.reduce((a, b) => a + b) - 4)]))
    let offset = 0
    for (const size of sizes) {
      const record = buildRecords(answer.subarray(offset, offset + size), Math.max(size, 1))
      socket.write(size === 0 ? Buffer.of(0x17, 3, 3, 0, 0) : record)
      offset += size
    }
  })
}

function mirrorCiphers(frame: Buffer): ReturnType<typeof buildClientFrame> {
  const mirror = buildClientFrame(KEY, 2, frame)
  assert.ok(timingSafeEqual(mirror.frame.subarray(0, 56), frame.subarray(0, 56)))
  return mirror
}

test(
  'a client shakes hands byte by byte, sends its first payload with the frame and reads records',
  { timeout: 20_000 },
  async (t) => {
    const proxy = await startMiniProxy((socket, hello) => {
      echoRecords(socket, [4, 16401, 1])
      socket.write(buildFlight(hello, 2500))
    })
    t.after(proxy.close)
    const client = await connectFakeTls({
      port: proxy.port,
      secret: SECRET,
      dc: 2,
      splitHello: 'bytes',
      firstPayload: Buffer.from('ping'),
      signal: AbortSignal.timeout(20_000),
    })
    assert.equal(client.flight.applicationDataBytes, 2500)
    assert.equal((await client.read(4)).toString(), 'ping')
    assert.deepEqual(await client.read(16402), Buffer.alloc(16402))
    assert.deepEqual(client.recordLengths, [4, 16401, 1])
    client.destroy()
    assert.equal((await client.closed).errorCode, null)
  },
)

test(
  'a client refuses a flight by another key, a fourth record, a record of 0 and of 16402 bytes',
  { timeout: 30_000 },
  async (t) => {
    const cases: [(socket: Socket, hello: Buffer) => void, string][] = [
      [(socket, hello) => socket.write(buildFlight(hello, 1000, Buffer.alloc(32, 7))), 'digest'],
      [(socket, hello) => socket.write(Buffer.concat([buildFlight(hello, 1000), Buffer.of(0x17)])), 'flight'],
      [(socket) => socket.end(), 'closed'],
      [(socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), 'flight'],
      [acceptThenSend([4, 0]), 'record'],
      [acceptThenSend([4, 16402]), 'record'],
    ]
    for (const [answer, code] of cases) {
      const proxy = await startMiniProxy(answer)
      t.after(proxy.close)
      const outcome = (async () => {
        const client = await connectFakeTls({
          port: proxy.port,
          secret: SECRET,
          dc: 2,
          firstPayload: Buffer.from('ping'),
          signal: AbortSignal.timeout(20_000),
        })
        await client.read(5)
      })()
      await assert.rejects(outcome, { name: 'FakeTlsError', code })
    }
  },
)

const acceptThenSend = (sizes: readonly number[]) => (socket: Socket, hello: Buffer) => {
  echoRecords(socket, sizes)
  socket.on('error', () => {}) // the client cuts the connection
  socket.write(buildFlight(hello, 1000))
}

interface DcPeer {
  readonly socket: Socket
  readonly write: (payload: Buffer) => void
  /** Everything the data centre sent, at its FIN. */
  readonly all: Promise<Buffer>
}

/** The proxy's side of a connection to the data centre. */
async function dialDc(port: number): Promise<DcPeer> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  await once(socket, 'connect')
  // Spelt out from wire.md §5.2: the other side of acceptFrame must not be made of acceptFrame.
  const reversed = PLAIN_FRAME.toReversed()
  const up = createCipheriv('aes-256-ctr', PLAIN_FRAME.subarray(8, 40), PLAIN_FRAME.subarray(40, 56))
  const down = createCipheriv('aes-256-ctr', reversed.subarray(8, 40), reversed.subarray(40, 56))
  up.update(PLAIN_FRAME)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(down.update(chunk as Buffer))) // no encoding is set
  socket.on('error', () => {}) // a mismatch is answered with a cut
  socket.write(PLAIN_FRAME)
  const all = once(socket, 'end').then(() => Buffer.concat(chunks))
  return { socket, write: (payload) => void socket.write(up.update(payload)), all }
}

test('the data centre streams its pattern on request', { timeout: 20_000 }, async (t) => {
  const dc = await startStreamDc({ mode: 'source' })
  t.after(() => dc.close())
  const peer = await dialDc(dc.port)
  const request = Buffer.alloc(8)
  request.writeBigUInt64LE(300_000n)
  peer.write(request)
  peer.socket.end()
  assert.ok((await peer.all).equals(patternSlice(0, 300_000)))
})

test('the data centre acknowledges a pattern and cuts anything else', { timeout: 20_000 }, async (t) => {
  const dc = await startStreamDc({ mode: 'sink', bytes: 100_000 })
  t.after(() => dc.close())
  const peer = await dialDc(dc.port)
  peer.write(patternSlice(0, 250_000))
  peer.socket.end()
  const counts = await peer.all
  assert.deepEqual(
    [0, 8, 16].map((offset) => Number(counts.readBigUInt64LE(offset))),
    [100_000, 200_000, 250_000],
  )
  await dc.nextConnection()

  const wrong = await dialDc(dc.port)
  wrong.all.catch(() => {}) // whether a FIN or a RST comes is the kernel's choice
  const connection = dc.nextConnection()
  wrong.write(Buffer.concat([patternSlice(0, 10), patternSlice(11, 1000)]))
  const seen = await connection
  if (!seen.socket.closed) await once(seen, 'close')
  assert.equal(seen.mismatchAt, 10)
  wrong.socket.destroy()
})
