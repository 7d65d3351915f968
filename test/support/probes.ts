import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { buildClientHello, RANDOM_OFFSET, splitIntoRecords, type ClientHelloOptions } from './client-hello.ts'
import { parseClientSecret } from './faketls-client.ts'

/** What censors and scanners send to find out if a web server is one, and what they see of the answer. */
export interface Probe {
  readonly name: string
  readonly bytes: Buffer
  /** FIN behind the bytes. */
  readonly ends?: true
}

export interface ProbeOptions {
  readonly secret: string
  /** A hello that a user of ours has been served with. */
  readonly used: Buffer
}

/** One row per thing that is tried. None of them has a secret, nor a hello of a user that was not used before. */
export function buildProbes({ secret, used }: ProbeOptions): readonly Probe[] {
  const forged = (options: Partial<ClientHelloOptions> = {}): Buffer =>
    buildClientHello({ ...parseClientSecret(secret), random: seeded('forged', 32), ...options }).bytes
  const signed = (options: Partial<ClientHelloOptions>): Buffer =>
    buildClientHello({ ...parseClientSecret(secret), ...options }).bytes
  const now = Math.floor(Date.now() / 1000)
  return [
    ...plainProbes(),
    ...RANDOM_LENGTHS.map((bytes) => ({ name: `${bytes} random bytes`, bytes: seeded('noise', bytes) })),
    ...[16, 500, 2000].map((bytes) => ({
      name: `${bytes} random bytes in a handshake record`,
      bytes: record(seeded('hello', bytes)),
    })),
    ...recordedHellos(),
    { name: 'a hello that nobody signed', bytes: forged() },
    { name: 'a large one with a hybrid key share', bytes: forged({ size: 1800 }) },
    { name: 'a hello signed with another key', bytes: signed({ key: seeded('key', 16) }) },
    { name: 'a signed hello, one hour old', bytes: signed({ unixTime: now - 3600 }) },
    { name: 'a signed hello from the next hour', bytes: signed({ unixTime: now + 3600 }) },
    { name: 'a replayed hello', bytes: used },
    { name: 'a replayed hello and a FIN', bytes: used, ends: true },
    { name: 'a replayed hello in other records', bytes: splitIntoRecords(used, [7, 200]) },
    ...[1, 2, 4].map((later) => ({ name: `a replayed hello, ${later} s on`, bytes: retime(used, later) })),
    { name: 'no SNI', bytes: signed({ sni: null }) },
    { name: 'a foreign SNI', bytes: signed({ sni: 'www.example.org' }) },
    { name: 'an address as SNI', bytes: signed({ sni: '127.0.0.1' }) },
    ...[1, 2, 3, 5, 6, 9, 11, 43, 76, 100, 300, 516].flatMap((cut): Probe[] => [
      { name: `the first ${cut} bytes of a hello, and silence`, bytes: forged().subarray(0, cut) },
      { name: `the first ${cut} bytes of a hello, and a FIN`, bytes: forged().subarray(0, cut), ends: true },
    ]),
    { name: 'a hello and a FIN', bytes: forged(), ends: true },
    { name: 'a hello and records nobody can read', bytes: Buffer.concat([forged(), data(60), data(300)]) },
    { name: 'a hello and an alert', bytes: Buffer.concat([forged(), Buffer.of(0x15, 3, 3, 0, 2, 2, 40)]) },
    ...recordProbes(forged()),
  ]
}

function plainProbes(): Probe[] {
  const lines: [string, string][] = [
    ['nothing at all', ''],
    ['HTTP', 'GET / HTTP/1.1\r\nHost: front.test\r\n\r\n'],
    ['half a line of HTTP', 'GET / HT'],
    ['HTTP without a host', 'GET / HTTP/1.0\r\n\r\n'],
    ['a CONNECT', 'CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a banner of SSH', 'SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n'],
    ['SMTP', 'EHLO front.test\r\n'],
    ['empty lines', '\r\n\r\n\r\n\r\n'],
    ['a greeting of SOCKS5', '\x05\x02\x00\x02'],
    ['a PROXY header', 'PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n'],
    ['one letter', 'G'],
  ]
  return lines.flatMap(([name, text]): Probe[] => [
    { name, bytes: Buffer.from(text, 'latin1') },
    { name: `${name}, and a FIN`, bytes: Buffer.from(text, 'latin1'), ends: true },
  ])
}

/** Below, at and above the lengths that something in a handshake has. */
const RANDOM_LENGTHS = [1, 2, 4, 5, 6, 8, 16, 41, 50, 64, 73, 128, 221, 500, 517, 1000, 1500, 2000]

function recordProbes(hello: Buffer): Probe[] {
  const empty = record(Buffer.alloc(0))
  return [
    { name: 'a record of 65535 bytes, begun', bytes: Buffer.of(0x16, 3, 1, 0xff, 0xff, 1) },
    { name: 'a record of 18433 bytes, begun', bytes: Buffer.of(0x16, 3, 1, 0x48, 0x01, 1) },
    { name: 'a record of 16385 bytes, begun', bytes: Buffer.of(0x16, 3, 1, 0x40, 0x01, 1) },
    { name: 'a hello that says it has 16 MiB', bytes: record(Buffer.of(1, 0xff, 0xff, 0xff, 3, 3)) },
    { name: 'an empty record', bytes: empty },
    { name: 'an empty record before the hello', bytes: Buffer.concat([empty, hello]) },
    { name: '12 empty records', bytes: Buffer.concat(Array.from({ length: 12 }, () => empty)) },
    { name: '40 empty records', bytes: Buffer.concat(Array.from({ length: 40 }, () => empty)) },
    { name: 'an alert in place of a hello', bytes: Buffer.of(0x15, 3, 1, 0, 2, 2, 40) },
    { name: 'application data in place of a hello', bytes: data(100) },
    { name: 'a ChangeCipherSpec in place of a hello', bytes: Buffer.of(0x14, 3, 1, 0, 1, 1) },
    { name: 'a hello in a record of version 03 03', bytes: patch(hello, 2, 3) },
    { name: 'a hello in a record of version 05 01', bytes: patch(hello, 1, 5) },
    { name: 'a ServerHello', bytes: patch(hello, 5, 2) },
    { name: 'a hello in 4 records', bytes: splitIntoRecords(hello, [1, 3, 100]) },
    { name: 'a hello in 12 records', bytes: splitIntoRecords(hello, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) },
    {
      name: 'a hello of TLS 1.0',
      bytes: record(
        Buffer.concat([Buffer.of(1, 0, 0, 41, 3, 1), seeded('tls10', 32), Buffer.of(0, 0, 2, 0, 0x2f, 1, 0)]),
      ),
    },
    {
      name: 'a hello of SSL 2',
      bytes: Buffer.concat([Buffer.of(0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10), seeded('ssl2', 37)]),
    },
  ]
}

/** What curl, openssl and Chromium sent to a host named front.test. */
function recordedHellos(): Probe[] {
  const folder = new URL('../fixtures/prober-hello/', import.meta.url)
  return readdirSync(folder)
    .toSorted()
    .map((file) => ({
      name: `the hello of ${file.replace('.hex', '')}`,
      bytes: Buffer.from(readFileSync(new URL(file, folder), 'latin1').trim(), 'hex'),
    }))
}

/** A hello with one bit changed. */
export function flipBit(bytes: Buffer, position: number): Buffer {
  return patch(bytes, position >> 3, bytes[position >> 3]! ^ (1 << (position & 7))) // inside: the caller's range
}

/** A signed hello as of so many seconds later, made without the key (wire.md §2.4). */
function retime(hello: Buffer, seconds: number): Buffer {
  const at = RANDOM_OFFSET + 28
  const now = Math.floor(Date.now() / 1000)
  const changed = Buffer.from(hello)
  changed.writeUInt32LE((changed.readUInt32LE(at) ^ now ^ (now + seconds)) >>> 0, at)
  return changed
}

export interface Sighting {
  readonly answer: Buffer
  /** How the other side ended. */
  readonly end: 'fin' | 'reset'
  /** From the first byte sent to that end. */
  readonly ms: number
}

/** No site of the tests is as patient as this. */
const LIMIT_MS = 20_000

/** Send the probe and wait for the other side to end the connection. */
export function sendProbe(port: number, probe: Probe): Promise<Sighting> {
  return new Promise((resolve, reject) => {
    let startMs = 0
    const chunks: Buffer[] = []
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    const limit = setTimeout(() => {
      reject(new Error(`${probe.name}: port ${port} neither ended nor reset it`))
      socket.destroy()
    }, LIMIT_MS)
    const over = (end: Sighting['end']): void => {
      clearTimeout(limit)
      resolve({ answer: Buffer.concat(chunks), end, ms: performance.now() - startMs })
      socket.destroy()
    }
    socket.on('connect', () => {
      startMs = performance.now()
      if (probe.bytes.length > 0) socket.write(probe.bytes)
      if (probe.ends) socket.end()
    })
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('end', () => over('fin'))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET') over('reset')
      else reject(error)
    })
  })
}

/**
 * An answer with what a server draws anew each time left out: of TLS the headers of all records, alerts as they are,
 * and of a ServerHello everything but its random, its session id and the bytes of its key share. What is no TLS is
 * shown byte by byte, but for the second in a Date.
 */
export function describeAnswer(answer: Buffer): readonly string[] {
  const lines: string[] = []
  let at = 0
  while (at < answer.length) {
    const type = answer[at]!
    const isRecord = type >= 0x14 && type <= 0x17 && answer[at + 1] === 3 && at + 5 <= answer.length
    if (!isRecord) return [...lines, answer.toString('latin1', at).replace(/^Date: .*$/m, 'Date: …')]
    const end = at + 5 + answer.readUInt16BE(at + 3)
    const payload = answer.subarray(at + 5, end)
    lines.push(`${answer.toString('hex', at, at + 5)} ${describePayload(type, payload)}`.trimEnd())
    at = end
  }
  return lines
}

function describePayload(type: number, payload: Buffer): string {
  if (type === 0x15 || type === 0x14) return payload.toString('hex')
  if (type === 0x16 && payload[0] === 0x02) return describeServerHello(payload)
  return type === 0x16 ? `handshake ${payload[0]}` : ''
}

function describeServerHello(message: Buffer): string {
  const sessionIdBytes = message[38] ?? 0
  let at = 39 + sessionIdBytes
  const parts = [`version ${message.toString('hex', 4, 6)}`, `session id of ${sessionIdBytes}`]
  parts.push(`suite and compression ${message.toString('hex', at, at + 3)}`)
  for (at += 5; at + 4 <= message.length && at < 4 + message.readUIntBE(1, 3);) {
    const bytes = message.readUInt16BE(at + 2)
    const isKeyShare = message.readUInt16BE(at) === 0x33
    parts.push(message.toString('hex', at, at + 4 + (isKeyShare ? 4 : bytes)))
    at += 4 + bytes
  }
  return parts.join(', ')
}

/** Bytes that look like noise and are the same in every run. */
function seeded(name: string, bytes: number): Buffer {
  return createHash('shake256', { outputLength: bytes }).update(name).digest()
}

const record = (payload: Buffer): Buffer =>
  Buffer.concat([Buffer.of(0x16, 3, 1, payload.length >> 8, payload.length & 255), payload])

const data = (bytes: number): Buffer =>
  Buffer.concat([Buffer.of(0x17, 3, 3, bytes >> 8, bytes & 255), seeded('data', bytes)])

function patch(bytes: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(bytes)
  changed[at] = value
  return changed
}
