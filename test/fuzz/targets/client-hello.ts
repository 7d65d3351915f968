import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as fc from 'fast-check'
import { HANDSHAKE_CODES, HandshakeError } from '#shared/errors'
import { UNLEARNT_PROFILE } from '#shared/traffic-profile'
import { answerHello } from '#worker/fake-tls/answer-hello'
import {
  buildHelloImage,
  type ClientHello,
  HELLO_BODY_OFFSET,
  parseClientHello,
} from '#worker/fake-tls/client-hello'
import { KeyRing } from '#worker/fake-tls/key-ring'
import { PublicValues } from '#worker/fake-tls/public-values'
import { keyByKey } from '#worker/key-search/key-by-key'
import { MAX_HELLO_BYTES, MAX_HELLO_RECORDS, readClientHello } from '#worker/fake-tls/read-client-hello'
import { peerClosed, RewindableReader } from '#worker/rewindable-reader'
import type { ByteSocket } from '#worker/socket/byte-socket'
import { SearchQueue } from '#worker/fake-tls/search-queue'
import { buildClientHello } from '../../support/client-hello.ts'
import { verifyServerFlight } from '../../support/faketls-client.ts'
import {
  bytes,
  cutAt,
  cuts,
  encodeHelloBody,
  encodeHelloMessage,
  encodeHelloRecords,
  helloFields,
  signHelloBody,
} from '../../support/generators.ts'
import { cutsOf, stateless, type Target } from '../target.ts'

const HOST = 'site.example'
const KEY = Buffer.alloc(16, 7)
const UNIX_SECONDS = 1_700_000_000
const USER = { name: 'anna', slot: 0, generation: 0, secrets: [{ key: KEY, host: HOST }] }
const CLOCK = { nowMs: UNIX_SECONDS * 1000, toleranceMs: 5000, notBeforeSeconds: null }
/** What a hello can take with the headers of its records; one more byte belongs to what follows. */
const MAX_WIRE_BYTES = MAX_HELLO_BYTES + 5 * MAX_HELLO_RECORDS

/** ClientHellos by any client, padded ones of Telegram's, in any number of records; some with bytes behind. */
const hellos = (): fc.Arbitrary<Buffer> =>
  fc
    .oneof(
      helloFields().map((fields) => encodeHelloMessage(encodeHelloBody(fields))),
      helloFields().map((fields) => encodeHelloMessage(encodeHelloBody({ ...fields, names: [HOST] }))),
      fc
        .constantFrom(517, 1800)
        .map((size) =>
          buildClientHello({ key: KEY, host: HOST, size, unixTime: UNIX_SECONDS, sessionId: KEY }),
        )
        .map((hello) => hello.bytes.subarray(5)),
    )
    .chain((message) => fc.tuple(fc.constant(message), cuts(message.length, 4), bytes(0, 40)))
    .map(([message, positions, behind]) => Buffer.concat([encodeHelloRecords(message, positions), behind]))

type Outcome = { readonly hello: ClientHello; readonly read: number } | { readonly code: string }

/** As from a peer that closes afterwards. */
async function read(chunks: readonly Buffer[]): Promise<Outcome> {
  const reader = new RewindableReader()
  let settled = false
  const reading = readClientHello(reader)
    .then(
      (hello): Outcome => ({ hello, read: reader.receivedBytes - reader.unreadBytes }),
      (error: unknown): Outcome => {
        if (!(error instanceof HandshakeError)) throw error
        return { code: error.code }
      },
    )
    .finally(() => (settled = true))
  for (const chunk of chunks) {
    reader.push(chunk)
    if (chunks.length > 1) await nextTurn()
    if (settled) break
  }
  reader.fail(peerClosed())
  return reading
}

/** What an authorised client could do with these bytes: the same hello, signed. */
async function acceptSigned(hello: ClientHello): Promise<void> {
  const body = Buffer.from(hello.image.subarray(HELLO_BODY_OFFSET))
  signHelloBody(body, KEY, UNIX_SECONDS)
  const signed = parseClientHello(buildHelloImage(body))
  assert.ok(signed.ok)
  const found = await new KeyRing([USER], { queue: new SearchQueue(), search: keyByKey }).search(
    signed.hello,
    { userHints: [], source: '192.0.2.1' },
    CLOCK,
  )
  assert.equal(found.ok, hello.serverNames.includes(HOST))
  if (!found.ok) return assert.ok(HANDSHAKE_CODES.includes(found.code))

  let flight = Buffer.alloc(0)
  // The flight is written and nothing else is done with the socket.
  const client = { write: (chunk: Buffer) => void (flight = Buffer.concat([flight, chunk])) }
  answerHello(
    client as unknown as ByteSocket,
    signed.hello,
    found.userKey,
    UNLEARNT_PROFILE,
    new PublicValues(),
  )
  const { image, random, sessionId } = signed.hello
  assert.ok(verifyServerFlight(KEY, { bytes: image, random, sessionId }, flight))
}

export const clientHello: Target = {
  name: 'client-hello',
  inputs: hellos(),
  dictionary: [
    Buffer.of(0x16, 3, 1),
    Buffer.of(0x16, 3, 1, 0, 0),
    Buffer.of(0x16, 3, 1, 0, 1, 1),
    Buffer.of(0, 0, 0, 17, 0, 15, 0, 0, 12),
    Buffer.of(0, 0x33),
    HOST,
  ],
  maxBytes: 24_000,
  limitMs: 100,
  open: () =>
    stateless(async (input) => {
      const whole = await read([input])
      const cut = await read(cutAt(input, cutsOf(input)))
      assert.deepEqual(cut, whole)
      if ('code' in whole) return assert.ok((HANDSHAKE_CODES as readonly string[]).includes(whole.code))
      const { hello } = whole
      assert.ok(whole.read <= Math.min(input.length, MAX_WIRE_BYTES))
      assert.ok(hello.image.length <= MAX_HELLO_BYTES + 5)
      assert.equal(hello.random.length, 32)
      for (const name of hello.serverNames) assert.ok(!/[A-Z]/.test(name))
      await acceptSigned(hello)
    }),
}
