import { patternSlice } from '../../test/support/stream-dc.ts'
import { HONEST_BYTES, PURPOSE } from '../support/data-centre-behaviours.ts'
import { openLine } from '../support/line.ts'
import { MIB, type ProxyAddress, type Scenario } from '../support/scenario.ts'
import { computeTransfer, describeTransfer } from '../support/transfer.ts'

/** What does a byte from the data centre to the client cost? */

/** On each connection before the measurement: compiled code, grown TCP windows, no pacing of a fresh burst. */
const WARM_UP_BYTES = 32 * MIB

export const download: Scenario = {
  name: 'download',
  summary: 'processor time of a GiB from the data centre to clients',
  defaults: { connections: 8, mib: 2048 },
  quick: { connections: 2, mib: 16 },
  cpuFigures: ['cpuSecondsPerGib'],
  phases: ['download'],
  async prepare(target, { connections, mib, verify }) {
    const bytesEach = Math.ceil((mib * MIB) / connections)
    const streams = await Promise.all(Array.from({ length: connections }, () => openStream(target, verify)))
    await Promise.all(streams.map((stream) => stream(Math.min(WARM_UP_BYTES, bytesEach), () => {})))
    return {
      async download(progress) {
        const startedAt = performance.now()
        const units = bytesEach * connections
        let received = 0
        const count = (bytes: number): void => {
          received += bytes
          progress(received / units)
        }
        await Promise.all(streams.map((stream) => stream(bytesEach, count)))
        return { units, wallSeconds: (performance.now() - startedAt) / 1000 }
      },
    }
  },
  compute: ({ download }) => (download === undefined ? {} : computeTransfer(download)),
  describe: describeTransfer,
}

export interface Stream {
  (bytes: number, count: (bytes: number) => void): Promise<void>
  close(): void
}

/**
 * A connection whose first bytes are right; each call asks for that many more and resolves when they have come. What
 * follows is counted by its record headers, as the load shares the cores with the proxy, or decrypted and compared.
 */
export async function openStream(target: ProxyAddress, verify = false): Promise<Stream> {
  const line = await openLine(target, { purpose: verify ? PURPOSE.source : PURPOSE.cheapSource })
  let receivedBytes = 0
  let dueBytes = 0
  let count: (bytes: number) => void = () => {}
  let settle = Promise.withResolvers<void>()
  let failure: Error | null = null
  const fail = (error: Error): void => {
    failure = error
    settle.reject(error)
    line.socket.destroy()
  }
  line.onClose = fail
  line.onPayload = (bytes) => {
    if (verify || receivedBytes < HONEST_BYTES) {
      const honest = verify ? bytes : bytes.subarray(0, HONEST_BYTES - receivedBytes)
      if (!line.decrypt(honest).equals(patternSlice(receivedBytes, honest.length))) {
        return fail(new Error(`the download is wrong after ${receivedBytes} bytes`))
      }
    }
    receivedBytes += bytes.length
    dueBytes -= bytes.length
    count(bytes.length)
    if (dueBytes === 0) settle.resolve()
    if (dueBytes < 0) fail(new Error('the download is longer than asked for'))
  }
  const stream = async (bytes: number, report: (bytes: number) => void): Promise<void> => {
    if (failure !== null) throw failure
    settle = Promise.withResolvers<void>()
    count = report
    dueBytes = bytes
    const request = Buffer.alloc(8)
    request.writeBigUInt64LE(BigInt(bytes))
    line.send(request)
    await settle.promise
  }
  await stream(HONEST_BYTES, () => {})
  return Object.assign(stream, { close: () => line.close() })
}
