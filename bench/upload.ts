import { once } from 'node:events'

import { connectFakeTls } from '../test/support/faketls-client.ts'
import { patternSlice } from '../test/support/stream-dc.ts'
import { MIB } from './support/bench.ts'
import type { Bench, BenchOptions, LoadTarget } from './support/bench.ts'
import { computeTransfer, describeTransfer } from './support/transfer.ts'

/** What does a byte from the client to the data centre cost? Every byte is compared where it arrives. */

/** The data centre's acknowledgements; all amounts are multiples of it. */
const ACKNOWLEDGED_BYTES = MIB
const WARM_UP_BYTES = 16 * MIB
const CHUNK_BYTES = 64 * 1024

export const upload: Bench = {
  name: 'upload',
  dcArguments: () => ['--mode', 'sink', '--bytes', String(ACKNOWLEDGED_BYTES)],
  async prepare(target, options) {
    const bytesEach = Math.ceil(options.totalMib / options.connections) * MIB
    const streams = await Promise.all(
      Array.from({ length: options.connections }, () => openStream(target, options)),
    )
    await Promise.all(streams.map((stream) => stream(WARM_UP_BYTES, () => {})))
    return async (progress) => {
      const startedAt = performance.now()
      const units = bytesEach * options.connections
      let sent = 0
      const count = (bytes: number): void => {
        sent += bytes
        progress(sent / units)
      }
      await Promise.all(streams.map((stream) => stream(bytesEach, count)))
      return { units, wallSeconds: (performance.now() - startedAt) / 1000 }
    }
  },
  compute: computeTransfer,
  describe: describeTransfer,
}

type Stream = (bytes: number, count: (bytes: number) => void) => Promise<void>

/** Each call sends that much of the pattern and resolves when the data centre has acknowledged all of it. */
async function openStream(target: LoadTarget, options: BenchOptions): Promise<Stream> {
  const { recordPayloadBytes } = options
  const client = await connectFakeTls({ ...target, dc: 2, recordPayloadBytes })
  let sentBytes = 0
  return async (bytes, count) => {
    const end = sentBytes + bytes
    const acknowledged = readAcknowledgements(bytes / ACKNOWLEDGED_BYTES)
    while (sentBytes < end) {
      const writable = client.write(patternSlice(sentBytes, CHUNK_BYTES))
      sentBytes += CHUNK_BYTES
      count(CHUNK_BYTES)
      // A closed connection never drains; then the acknowledgement fails.
      if (!writable) await Promise.race([once(client.socket, 'drain'), acknowledged])
    }
    if ((await acknowledged) !== end) throw new Error('the data centre counts otherwise')
  }

  async function readAcknowledgements(count: number): Promise<number> {
    const counts = await client.read(8 * count)
    return Number(counts.readBigUInt64LE(counts.length - 8))
  }
}
