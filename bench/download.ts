import { connectFakeTls, MAX_RECORD_PAYLOAD_BYTES } from '../test/support/faketls-client.ts'
import { patternSlice } from '../test/support/stream-dc.ts'
import { MIB } from './support/bench.ts'
import type { Bench, LoadTarget } from './support/bench.ts'
import { computeTransfer, describeTransfer } from './support/transfer.ts'

/** What does a byte from the data centre to the client cost? */

/** Decrypted and compared; what follows is counted by its record headers, as the load shares the cores with the proxy. */
const VERIFIED_BYTES = 64 * 1024
/** On each connection before the measurement: compiled code, grown TCP windows, no pacing of a fresh burst. */
const WARM_UP_BYTES = 32 * MIB
const RECORD_HEADER_BYTES = 5

export const download: Bench = {
  name: 'download',
  dcArguments: () => ['--mode', 'source', '--honest-bytes', String(VERIFIED_BYTES)],
  async prepare(target, options) {
    const bytesEach = Math.ceil((options.totalMib * MIB) / options.connections)
    const streams = await Promise.all(Array.from({ length: options.connections }, () => openStream(target)))
    await Promise.all(streams.map((stream) => stream(WARM_UP_BYTES, ignore)))
    return async (progress) => {
      const startedAt = performance.now()
      const units = bytesEach * options.connections
      let received = 0
      const count = (bytes: number): void => {
        received += bytes
        progress(received / units)
      }
      await Promise.all(streams.map((stream) => stream(bytesEach, count)))
      return { units, wallSeconds: (performance.now() - startedAt) / 1000 }
    }
  },
  compute: computeTransfer,
  describe: describeTransfer,
}

const ignore = (): void => {}

export interface Stream {
  (bytes: number, count: (bytes: number) => void): Promise<void>
  close(): void
}

/** A connection whose first bytes are right; each call asks for that many more and resolves when they have come. */
export async function openStream(target: LoadTarget): Promise<Stream> {
  const client = await connectFakeTls({ ...target, dc: 2, firstPayload: buildRequest(VERIFIED_BYTES) })
  const start = await client.read(VERIFIED_BYTES)
  if (!start.equals(patternSlice(0, VERIFIED_BYTES))) throw new Error('the download begins with wrong bytes')

  // Nothing is on the way now, so the next byte begins a record.
  client.socket.removeAllListeners('data')
  const records = new RecordCounter()
  let failure: Error | null = null
  let wake: () => void = ignore
  client.socket.on('close', () => {
    failure ??= new Error('the proxy closed a download')
    wake()
  })
  let count: (bytes: number) => void = ignore
  // No encoding is set, so chunks are Buffers.
  client.socket.on('data', (chunk) => {
    try {
      count(records.take(chunk as Buffer))
    } catch (error) {
      failure = error as Error // the counter throws errors alone
    }
    wake()
  })
  const stream = async (bytes: number, report: (bytes: number) => void): Promise<void> => {
    count = report
    const end = records.payloadBytes + bytes
    client.write(buildRequest(bytes))
    while (records.payloadBytes < end) {
      if (failure !== null) throw failure
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return Object.assign(stream, { close: () => client.destroy() })
}

/** Counts payload by hopping from one record header to the next. */
class RecordCounter {
  payloadBytes: number
  #header: Buffer
  #headerBytes: number
  #missingBytes: number

  constructor() {
    this.payloadBytes = 0
    this.#header = Buffer.alloc(RECORD_HEADER_BYTES)
    this.#headerBytes = 0
    this.#missingBytes = 0
  }

  /** Returns the payload bytes in the chunk. Throws when a header is not one of application data. */
  take(chunk: Buffer): number {
    const before = this.payloadBytes
    for (let offset = 0; offset < chunk.length;) {
      if (this.#missingBytes > 0) {
        const taken = Math.min(this.#missingBytes, chunk.length - offset)
        this.#missingBytes -= taken
        this.payloadBytes += taken
        offset += taken
      } else {
        const taken = chunk.copy(this.#header, this.#headerBytes, offset)
        this.#headerBytes += taken
        offset += taken
        if (this.#headerBytes === RECORD_HEADER_BYTES) this.#begin()
      }
    }
    return this.payloadBytes - before
  }

  #begin(): void {
    const length = this.#header.readUInt16BE(3)
    if (this.#header.readUIntBE(0, 3) !== 0x170303 || length < 1 || length > MAX_RECORD_PAYLOAD_BYTES) {
      throw new Error(`not a record header: ${this.#header.toString('hex')}`)
    }
    this.#missingBytes = length
    this.#headerBytes = 0
  }
}

function buildRequest(bytes: number): Buffer {
  const request = Buffer.alloc(8)
  request.writeBigUInt64LE(BigInt(bytes))
  return request
}
