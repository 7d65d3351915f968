import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { RECORD_HEADER_BYTES, RecordType } from '../fake-tls/record.ts'

/** A ServerHello, and a HelloRetryRequest before it, is all that TLS 1.3 says in the clear. */
const MAX_CLEAR_HANDSHAKE_BYTES = 8 * 1024
/** Of one connection: a page of 16 MiB in full records is a thousand. */
const MAX_RECORDS = 32_768

export interface TappedRecord {
  readonly from: 'client' | 'server'
  readonly type: number
  /** Without the header. */
  readonly bytes: number
  /** When its last byte came in, ns of a monotonic clock; records of one piece have the same time. */
  readonly atNs: bigint
}

/** Stands between a TLS client and its TCP connection, and keeps a note of every record that passes. */
export class RecordTap extends Duplex {
  readonly records: TappedRecord[]
  readonly #raw: Socket
  readonly #fromClient: RecordCutter
  readonly #fromServer: RecordCutter

  constructor(raw: Socket) {
    super()
    this.records = []
    this.#raw = raw
    this.#fromClient = new RecordCutter()
    this.#fromServer = new RecordCutter()
    // Without an encoding the chunks are Buffers.
    raw.on('data', (chunk: Buffer) => {
      this.#note('server', this.#fromServer, chunk)
      if (!this.push(chunk)) raw.pause()
    })
    raw.on('end', () => this.push(null))
    raw.on('error', (error) => this.destroy(error))
    raw.on('close', () => this.destroy())
  }

  /** What the server said in the clear: handshake messages behind each other. */
  get clearHandshake(): Buffer {
    return this.#fromServer.clearHandshake
  }

  override _read(): void {
    this.#raw.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#note('client', this.#fromClient, chunk)
    this.#raw.write(chunk, done)
  }

  override _final(done: () => void): void {
    this.#raw.end(done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#raw.destroy()
    done(error)
  }

  #note(from: TappedRecord['from'], cutter: RecordCutter, chunk: Buffer): void {
    const atNs = process.hrtime.bigint()
    cutter.cut(chunk, (type, bytes) => this.records.push({ from, type, bytes, atNs }))
    if (this.records.length > MAX_RECORDS) this.destroy(new Error(`more than ${MAX_RECORDS} records`))
  }
}

/** Finds the records in one direction of a connection, however it is cut. */
class RecordCutter {
  readonly #header: Buffer
  readonly #clear: Buffer[]
  #headerBytes: number
  #leftBytes: number
  #clearBytes: number

  constructor() {
    this.#header = Buffer.alloc(RECORD_HEADER_BYTES)
    this.#clear = []
    this.#headerBytes = 0
    this.#leftBytes = 0
    this.#clearBytes = 0
  }

  get clearHandshake(): Buffer {
    return Buffer.concat(this.#clear)
  }

  cut(chunk: Buffer, onRecord: (type: number, bytes: number) => void): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#headerBytes < RECORD_HEADER_BYTES) {
        const n = chunk.copy(this.#header, this.#headerBytes, at)
        this.#headerBytes += n
        at += n
        if (this.#headerBytes < RECORD_HEADER_BYTES) return
        this.#leftBytes = this.#header.readUInt16BE(3)
      }
      const part = chunk.subarray(at, at + this.#leftBytes)
      this.#keepClear(part)
      at += part.length
      this.#leftBytes -= part.length
      if (this.#leftBytes > 0) return
      onRecord(this.#header[0]!, this.#header.readUInt16BE(3))
      this.#headerBytes = 0
    }
  }

  #keepClear(part: Buffer): void {
    if (this.#header[0] !== RecordType.Handshake) return
    if (this.#clearBytes + part.length > MAX_CLEAR_HANDSHAKE_BYTES) return
    this.#clear.push(Buffer.from(part))
    this.#clearBytes += part.length
  }
}

/**
 * The encrypted records of the server's handshake: those between the ChangeCipherSpec and the client's first encrypted
 * record, which answers them.
 */
export function listFlightRecords(records: readonly TappedRecord[]): number[] {
  const answer = records.findIndex(
    ({ from, type }) => from === 'client' && type === RecordType.ApplicationData,
  )
  return records
    .slice(0, answer === -1 ? records.length : answer)
    .filter(({ from, type }) => from === 'server' && type === RecordType.ApplicationData)
    .map(({ bytes }) => bytes)
}
