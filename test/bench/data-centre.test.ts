import assert from 'node:assert/strict'
import { createCipheriv, type Cipheriv } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test, type TestContext } from 'node:test'
import { Child } from '../../bench/support/child.ts'
import { PURPOSE, type Purpose } from '../../bench/support/data-centre-behaviours.ts'
import { openStraight, type Line } from '../../bench/support/line.ts'
import { greetingBytes, requestBytes } from '../../bench/support/socks-face.ts'
import { patternSlice } from '../support/stream-dc.ts'
import { LIVENESS_MS } from '../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS }
const SCRIPT = new URL('../../bench/support/data-centre.ts', import.meta.url)
const CONNECT = Buffer.of(5, 1, 0, 1, 149, 154, 167, 51, 0x01, 0xbb)
const GRANTED = Buffer.of(5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 0)

async function startDataCentre(t: TestContext): Promise<{ port: number; socksPort: number }> {
  const dc = new Child('the data centre', SCRIPT, [])
  t.after(() => dc.stop())
  const { port, socksPort } = await dc.next()
  return { port: Number(port), socksPort: Number(socksPort) }
}

/** A frame, an echo's purpose and a message behind it, and what comes back. */
function buildEcho(): { frame: Buffer; payload: Buffer; expected: Buffer } {
  const frame = Buffer.alloc(64, 7)
  const cipher = (key: Buffer): Cipheriv =>
    createCipheriv('aes-256-ctr', key.subarray(0, 32), key.subarray(32, 48))
  const up = cipher(frame.subarray(8, 56))
  up.update(frame)
  const message = Buffer.from('behind the request')
  const payload = up.update(Buffer.concat([Buffer.from(PURPOSE.echo), message]))
  return { frame, payload, expected: cipher(frame.subarray(8, 56)).update(message) }
}

async function readPayload(line: Line, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = []
  await new Promise<void>((resolve, reject) => {
    line.onClose = reject
    line.onPayload = (payload) => {
      parts.push(line.decrypt(payload))
      if (Buffer.concat(parts).length >= bytes) resolve()
    }
  })
  return Buffer.concat(parts)
}

test('the data centre of the benches does what the first byte says', LIMIT, async (t) => {
  const { port: dcPort } = await startDataCentre(t)
  const target = { host: '127.0.0.1', port: 0, secret: '', dcPort, seed: null, secretCount: 1 }
  const open = async (purpose: Purpose): Promise<Line> => {
    const line = await openStraight(target, { purpose })
    t.after(() => line.close())
    return line
  }

  const echo = await open(PURPOSE.echo)
  echo.send(Buffer.from('here I am'))
  assert.equal(String(await readPayload(echo, 9)), 'here I am')

  const source = await open(PURPOSE.source)
  const request = Buffer.alloc(8)
  request.writeBigUInt64LE(100_000n)
  source.send(request)
  assert.ok((await readPayload(source, 100_000)).equals(patternSlice(0, 100_000)))

  const mib = 1024 * 1024
  const sink = await open(PURPOSE.sink)
  sink.send(patternSlice(0, mib))
  assert.equal((await readPayload(sink, 8)).readBigUInt64LE(), BigInt(mib))

  const wrong = await open(PURPOSE.sink)
  const closed = once(wrong.socket, 'close')
  wrong.send(Buffer.alloc(100, 1))
  await closed
})

test('behind its SOCKS5 face, whatever address is asked for', LIMIT, async (t) => {
  const { socksPort } = await startDataCentre(t)
  const socket = connect({ port: socksPort, host: '127.0.0.1', noDelay: true })
  t.after(() => socket.destroy())
  let heard = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => (heard = Buffer.concat([heard, chunk])))
  const { frame, payload, expected } = buildEcho()
  // Cut at every byte; what is for the data centre comes together with the last one.
  for (const byte of [5, 1, 0, ...CONNECT.subarray(0, -1)]) socket.write(Buffer.of(byte))
  socket.write(Buffer.concat([CONNECT.subarray(-1), frame, payload]))
  while (heard.length < GRANTED.length + expected.length) await once(socket, 'data')
  assert.ok(heard.subarray(0, GRANTED.length).equals(GRANTED))
  assert.ok(heard.subarray(GRANTED.length).equals(expected))
})

test('what is no SOCKS5 without authentication is turned away', LIMIT, async (t) => {
  const { socksPort } = await startDataCentre(t)
  for (const [sent, answer] of [
    [Buffer.of(4, 1, 0, 80, 1, 2), Buffer.of(5, 0xff)],
    [Buffer.of(5, 1, 2), Buffer.of(5, 0xff)],
    // BIND
    [Buffer.of(5, 1, 0, 5, 2, 0, 1, 1, 2, 3, 4, 0, 80), Buffer.of(5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0)],
  ] as const) {
    const socket = connect({ port: socksPort, host: '127.0.0.1' })
    t.after(() => socket.destroy())
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk)).write(sent)
    await once(socket, 'end')
    assert.deepEqual(Buffer.concat(chunks), answer)
  }
})

test('greetings and requests end where they end', () => {
  assert.equal(greetingBytes(Buffer.of(5, 2, 0)), 0)
  assert.equal(greetingBytes(Buffer.of(5, 2, 0, 2, 5)), 4)
  const name = Buffer.from('\x05\x01\x00\x03\x07tg.test\x01\xbb', 'latin1')
  const v6 = Buffer.concat([Buffer.of(5, 1, 0, 4), Buffer.alloc(16, 1), Buffer.of(0, 80)])
  for (const request of [CONNECT, name, v6]) {
    for (let cut = 0; cut < request.length; cut++) assert.equal(requestBytes(request.subarray(0, cut)), 0)
    assert.equal(requestBytes(Buffer.concat([request, Buffer.of(9)])), request.length)
  }
})
