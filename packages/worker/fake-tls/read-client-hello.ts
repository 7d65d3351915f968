import { HandshakeError, type HandshakeCode } from '#shared/errors'
import type { RewindableReader } from '../rewindable-reader.ts'
import {
  buildHelloImage,
  HANDSHAKE_HEADER_BYTES,
  parseClientHello,
  type ClientHello,
} from './client-hello.ts'
import { HELLO_RECORD_VERSION, RecordType } from './record.ts'

/** A hello in more records than this is refused, as in the reference (wire.md §2.1). */
export const MAX_HELLO_RECORDS = 11
/** Reassembled, handshake header included; real ones stay below 2 KiB (decision W2). */
export const MAX_HELLO_BYTES: number = 16 * 1024

const CLIENT_HELLO = 0x01

/**
 * Read a ClientHello from however many records it is cut into, and never a byte past its last record (wire.md §2.1).
 * @throws HandshakeError with the code that wire.md §2.5 lists, or what the reader was failed with
 */
export async function readClientHello(reader: RewindableReader): Promise<ClientHello> {
  const fragments: Buffer[] = []
  let bytes = 0
  let needed = HANDSHAKE_HEADER_BYTES
  let records = 0
  while (bytes < needed) {
    if (records === MAX_HELLO_RECORDS) throw refuse('too-many-records')
    const fragment = await readHandshakeRecord(reader, MAX_HELLO_BYTES - bytes)
    records += 1
    const hadHeader = bytes >= HANDSHAKE_HEADER_BYTES
    fragments.push(fragment)
    bytes += fragment.length
    if (hadHeader || bytes < HANDSHAKE_HEADER_BYTES) continue

    const header = join(fragments).subarray(0, HANDSHAKE_HEADER_BYTES)
    if (header[0] !== CLIENT_HELLO) throw refuse('handshake-type')
    needed = HANDSHAKE_HEADER_BYTES + header.readUIntBE(1, 3)
    if (needed > MAX_HELLO_BYTES) throw refuse('hello-too-large')
  }
  const message = join(fragments)
  const parsed = parseClientHello(buildHelloImage(message.subarray(HANDSHAKE_HEADER_BYTES, needed)))
  if (!parsed.ok) throw refuse(parsed.code)
  return parsed.hello
}

/**
 * One handshake record's payload. Each field of the header is judged as soon as it is there: a prober that says `SSH-`
 * and waits is the site's to answer, not ours to keep waiting.
 */
async function readHandshakeRecord(reader: RewindableReader, maxBytes: number): Promise<Buffer> {
  // Almost always all of it is there, and nothing has to be waited for.
  const type = reader.takeNow(1) ?? (await reader.readExact(1))
  if (type[0] !== RecordType.Handshake) throw refuse('record-type')
  const version = reader.takeNow(2) ?? (await reader.readExact(2))
  if (version.readUInt16BE(0) !== HELLO_RECORD_VERSION) throw refuse('record-version')
  const payloadBytes = (reader.takeNow(2) ?? (await reader.readExact(2))).readUInt16BE(0)
  if (payloadBytes > maxBytes) throw refuse('hello-too-large')
  return reader.takeNow(payloadBytes) ?? reader.readExact(payloadBytes)
}

/** Usually there is one. */
function join(fragments: readonly Buffer[]): Buffer {
  const [only] = fragments
  return fragments.length === 1 && only !== undefined ? only : Buffer.concat(fragments)
}

function refuse(code: HandshakeCode): HandshakeError {
  return new HandshakeError(code, `cannot read client hello: ${code}`)
}
