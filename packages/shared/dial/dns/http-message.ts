import type { Readable } from 'node:stream'
import { buildQuery, type DnsAnswer, MAX_MESSAGE_BYTES, parseAnswer, type Question } from './message.ts'

/** DNS messages in HTTP (RFC 8484), whatever version carries it. */

export interface HttpTarget {
  /** `host` or `host:port`. */
  readonly authority: string
  readonly path: string
}

/** RFC 8484 §4.1: always the same, so that caches can work; TLS protects what the id would. */
const ID = 0
const MEDIA_TYPE = 'application/dns-message'
const OK = 200

/** What a POST with the question has to carry. */
export function buildHttpQuery(question: Question): { headers: Record<string, string>; body: Buffer } {
  const body = buildQuery(ID, question)
  const headers = { accept: MEDIA_TYPE, 'content-type': MEDIA_TYPE, 'content-length': String(body.length) }
  return { headers, body }
}

/** @throws Error when it is no answer to the question */
export async function readHttpAnswer(
  status: number,
  mediaType: string | undefined,
  body: Readable,
  question: Question,
): Promise<DnsAnswer> {
  if (status !== OK) throw new Error(`HTTP status ${status}`)
  if (mediaType?.split(';')[0]?.trim().toLowerCase() !== MEDIA_TYPE)
    throw new Error(`the answer is ${mediaType ?? 'of no type'}, not ${MEDIA_TYPE}`)
  const chunks: Buffer[] = []
  let bytes = 0
  // Without an encoding the chunks are Buffers.
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_MESSAGE_BYTES) throw new Error(`the answer is larger than ${MAX_MESSAGE_BYTES} bytes`)
    chunks.push(chunk)
  }
  const answer = parseAnswer(Buffer.concat(chunks), ID, question)
  if (answer === null) throw new Error('the server answered another question, or not in DNS')
  return answer
}
