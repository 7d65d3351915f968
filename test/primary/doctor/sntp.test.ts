import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { test } from 'node:test'

import { measureClockOffset } from '#primary/doctor/sntp'
import { buildSntpRequest, parseSntpAnswer } from '#primary/doctor/sntp-packet'

import { startFakeNtp, writeTimestamp } from './fake-ntp.ts'

const COOKIE = Buffer.from('0102030405060708', 'hex')
const NEVER = new AbortController().signal
/** Both clocks are the same one: what is left is scheduling. */
const NOISE_MS = 10_000

function buildAnswer(): Buffer {
  const answer = Buffer.alloc(48)
  answer[0] = 0x24
  answer[1] = 1
  COOKIE.copy(answer, 24)
  writeTimestamp(answer, 32, 1_700_000_000_250)
  writeTimestamp(answer, 40, 1_700_000_000_750)
  return answer
}

test('a request is version 4, mode client, and carries nothing but the cookie', () => {
  const request = buildSntpRequest(COOKIE)
  assert.equal(request.length, 48)
  assert.equal(request[0], 0x23)
  assert.equal(request.toString('hex', 1, 40), '00'.repeat(39))
  assert.equal(request.toString('hex', 40), '0102030405060708')
})

test('an answer gives both times of the server, before and after the rollover of 2036', () => {
  const answer = buildAnswer()
  assert.deepEqual(parseSntpAnswer(answer, COOKIE), {
    ok: true,
    receivedAtMs: 1_700_000_000_250,
    sentAtMs: 1_700_000_000_750,
  })
  const in2040 = Date.UTC(2040, 0, 1)
  writeTimestamp(answer, 32, in2040)
  writeTimestamp(answer, 40, in2040)
  assert.deepEqual(parseSntpAnswer(answer, COOKIE), { ok: true, receivedAtMs: in2040, sentAtMs: in2040 })
})

test('answers that tell no time are refused, each with its reason', () => {
  const spoilt = (change: (answer: Buffer) => void): Buffer => {
    const answer = buildAnswer()
    change(answer)
    return answer
  }
  const cases: readonly (readonly [Buffer, string])[] = [
    [buildAnswer().subarray(0, 47), 'an answer of 47 bytes'],
    [spoilt((answer) => (answer[0] = 0x23)), 'the answer is not one of a server'],
    [spoilt((answer) => (answer[24] = 9)), 'the answer belongs to another request'],
    [
      spoilt((answer) => {
        answer[1] = 0
        answer.write('RATE', 12, 'latin1')
      }),
      'the server refuses: RATE',
    ],
    [spoilt((answer) => (answer[1] = 16)), 'the server has no time itself'],
    [spoilt((answer) => (answer[0] = 0xe4)), 'the server has no time itself'],
  ]
  for (const [answer, reason] of cases)
    assert.deepEqual(parseSntpAnswer(answer, COOKIE), { ok: false, reason })
})

test('a server that is a minute ahead makes our clock a minute slow', async (t) => {
  const server = await startFakeNtp(t, { aheadMs: 60_000 })
  const offsetMs = await measureClockOffset(server, NEVER)
  assert.ok(Math.abs(offsetMs - 60_000) < NOISE_MS, String(offsetMs))
})

test('a bad answer is followed by another attempt, with another cookie', async (t) => {
  const server = await startFakeNtp(t, {
    spoil: (answer, count) => (count === 1 ? answer.subarray(0, 10) : answer),
  })
  assert.ok(Math.abs(await measureClockOffset(server, NEVER)) < NOISE_MS)
  const cookies = server.requests.map((request) => request.toString('hex', 40))
  assert.equal(new Set(cookies).size, 2)
})

test('a closed port is an error', { timeout: 30_000 }, async () => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  await new Promise<void>((resolve) => socket.close(() => resolve()))
  await assert.rejects(measureClockOffset({ host: '127.0.0.1', port }, NEVER))
})
