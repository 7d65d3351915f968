import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import type { VisitResult, VisitTask } from '#shared/front-probe'
import { showUrl } from '#shared/show-url'
import { RecordType } from '../fake-tls/record.ts'
import { describeFailure, openTapped } from './open-tapped.ts'
import { listFlightRecords, type TappedRecord } from './record-tap.ts'

/** A page is over after so much; what was seen of it counts. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024
const USER_AGENT =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'

/** Piscina task: get one page over a connection of its own, and note when each TLS record of the answer came (wire.md §9.4). */
export default async function visitPage({
  url,
  addresses,
  route,
  timeoutMs,
}: VisitTask): Promise<VisitResult> {
  const target = new URL(url)
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const { tls, tap } = await openTapped({
      serverName: target.hostname.replace(/^\[|\]$/g, ''),
      addresses,
      route,
      protocols: ['http/1.1'],
      isHybrid: true,
      timeoutMs,
      signal,
    })
    try {
      const outgoing = request({
        createConnection: () => tls,
        host: target.hostname,
        path: target.pathname + target.search,
        headers: { host: target.host, accept: '*/*', 'user-agent': USER_AGENT, connection: 'close' },
        signal,
      })
      outgoing.on('error', () => {}) // `once` tells the first; a page cut off in the middle makes another
      outgoing.end()
      // `once` gives unknown[]; a request's 'response' carries its message.
      const [response] = (await once(outgoing, 'response', { signal })) as [IncomingMessage]
      // The time until here is the site's and the network's latency, not the pace of its records (wire.md §13 W9).
      const begin = tap.records.length - 1
      await readPage(response)
      return {
        ok: true,
        gapsNs: listGaps(tap.records.slice(Math.max(0, begin))),
        flightBytes: listFlightRecords(tap.records).reduce((sum, bytes) => sum + bytes, 0),
        location: findRedirect(response, target),
      }
    } finally {
      tls.destroy()
      tap.destroy()
    }
  } catch (error) {
    return { ok: false, reason: `${showUrl(url)}: ${describeFailure(error, signal, timeoutMs)}` }
  }
}

async function readPage(response: IncomingMessage): Promise<void> {
  let bytes = 0
  // Without an encoding the chunks are Buffers.
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes >= MAX_PAGE_BYTES) return
  }
}

/** The client says nothing any more: every record is the answer's. */
function listGaps(records: readonly TappedRecord[]): number[] {
  const times = records
    .filter(({ from, type }) => from === 'server' && type === RecordType.ApplicationData)
    .map(({ atNs }) => atNs)
  return times.slice(1).map((atNs, index) => Number(atNs - times[index]!))
}

function findRedirect({ statusCode = 0, headers }: IncomingMessage, from: URL): string | null {
  if (statusCode < 300 || statusCode > 399 || headers.location === undefined) return null
  return URL.parse(headers.location, from)?.href ?? null
}
