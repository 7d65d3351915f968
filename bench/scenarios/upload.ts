import { once } from 'node:events'

import { buildRecords, TDLIB_RECORD_PAYLOAD_BYTES } from '../../test/support/faketls-client.ts'
import { patternSlice } from '../../test/support/stream-dc.ts'
import { ACKNOWLEDGED_BYTES, HONEST_BYTES, PURPOSE } from '../support/data-centre-behaviours.ts'
import { openLine } from '../support/line.ts'
import { MIB, type ProxyAddress, type Scenario } from '../support/scenario.ts'
import { computeTransfer, describeTransfer } from '../support/transfer.ts'

/** What does a byte from the client to the data centre cost, in records as TDLib cuts them? */

const WARM_UP_BYTES = 16 * MIB
/** What a write carries: whole records. */
const CHUNK_BYTES = 23 * TDLIB_RECORD_PAYLOAD_BYTES
const FILLER = Buffer.alloc(CHUNK_BYTES, 0x5a)

export const upload: Scenario = {
  name: 'upload',
  summary: 'processor time of a GiB from clients to the data centre',
  defaults: { connections: 8, mib: 1024 },
  quick: { connections: 2, mib: 16 },
  cpuFigures: ['cpuSecondsPerGib'],
  phases: ['upload'],
  async prepare(target, { connections, mib, verify }) {
    const bytesEach = Math.ceil(mib / connections) * MIB
    const streams = await Promise.all(Array.from({ length: connections }, () => openUpload(target, verify)))
    await Promise.all(streams.map((stream) => stream(Math.min(WARM_UP_BYTES, bytesEach), () => {})))
    return {
      async upload(progress) {
        const startedAt = performance.now()
        const units = bytesEach * connections
        let sent = 0
        const count = (bytes: number): void => {
          sent += bytes
          progress(sent / units)
        }
        await Promise.all(streams.map((stream) => stream(bytesEach, count)))
        return { units, wallSeconds: (performance.now() - startedAt) / 1000 }
      },
    }
  },
  compute: ({ upload }) => (upload === undefined ? {} : computeTransfer(upload)),
  describe: describeTransfer,
}

export interface Upload {
  /** MiBs alone. */
  (bytes: number, count: (bytes: number) => void): Promise<void>
  close(): void
}

/** Each call sends that much and resolves when the data centre has acknowledged all of it. */
export async function openUpload(target: ProxyAddress, verify = false): Promise<Upload> {
  const line = await openLine(target, { purpose: verify ? PURPOSE.sink : PURPOSE.cheapSink })
  const cheapWire = buildRecords(FILLER, TDLIB_RECORD_PAYLOAD_BYTES)
  let sentBytes = 0
  let endBytes = 0
  let counts = Buffer.alloc(0)
  let settle = Promise.withResolvers<void>()
  let failure: Error | null = null
  line.onClose = (error) => {
    failure = error
    settle.reject(error)
  }
  line.onPayload = (bytes) => {
    counts = Buffer.concat([counts, line.decrypt(bytes)])
    for (; counts.length >= 8; counts = counts.subarray(8)) {
      if (Number(counts.readBigUInt64LE(0)) === endBytes) settle.resolve()
    }
  }
  /** Returns how much, and whether the socket takes more. */
  const sendChunk = (from: number, limit: number): { bytes: number; writable: boolean } => {
    const length = Math.min(CHUNK_BYTES, limit)
    if (verify || from < HONEST_BYTES) {
      // Where honesty may end the chunk does: not in the middle of what the data centre compares.
      const bytes = verify ? length : Math.min(length, HONEST_BYTES - from)
      return { bytes, writable: line.send(patternSlice(from, bytes)) }
    }
    const isWhole = length === CHUNK_BYTES
    const wire = isWhole ? cheapWire : buildRecords(FILLER.subarray(0, length), TDLIB_RECORD_PAYLOAD_BYTES)
    return { bytes: length, writable: line.socket.write(wire) }
  }
  const stream = async (bytes: number, count: (bytes: number) => void): Promise<void> => {
    if (failure !== null) throw failure
    if (bytes % ACKNOWLEDGED_BYTES !== 0) throw new Error('uploads are of whole MiBs')
    settle = Promise.withResolvers<void>()
    endBytes = sentBytes + bytes
    for (let left = bytes; left > 0;) {
      const { bytes: sent, writable } = sendChunk(sentBytes, left)
      left -= sent
      sentBytes += sent
      count(sent)
      // A closed connection never drains; then the acknowledgement fails.
      if (!writable) await Promise.race([once(line.socket, 'drain'), settle.promise])
    }
    await settle.promise
  }
  return Object.assign(stream, { close: () => line.close() })
}
