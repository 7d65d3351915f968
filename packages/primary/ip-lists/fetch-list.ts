import type { HttpAnswer, HttpGetOptions } from '../http-client.ts'

/** The largest public lists have about 10 MB; one of 200,000 IPv6 networks has 5. */
export const MAX_SOURCE_BYTES: number = 32 * 1024 * 1024
/** Some list servers refuse what they do not know; the reference sends the same (operator.md §9). */
const USER_AGENT = 'curl/8.5.0'

/** What tells the server which copy we have (RFC 9110 §8.8). */
export interface Validators {
  readonly etag: string | null
  readonly lastModified: string | null
}

export type FetchedList =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'fresh'; readonly text: Buffer; readonly validators: Validators }

/** @throws Error with the reason */
export type FetchList = (url: string, known: Validators | null, signal: AbortSignal) => Promise<FetchedList>

export type HttpGet = (url: string, options: HttpGetOptions) => Promise<HttpAnswer>

/**
 * The one way by which lists are downloaded.
 * @param get dials as `httpGet` does
 * @param timeoutMs asked before each download: it may change while the program runs
 */
export function createFetchList(get: HttpGet, timeoutMs: () => number): FetchList {
  return async (url, known, signal) => {
    const { status, headers, body } = await get(url, {
      headers: {
        'user-agent': USER_AGENT,
        accept: '*/*',
        ...(known === null || known.etag === null ? {} : { 'if-none-match': known.etag }),
        ...(known === null || known.lastModified === null ? {} : { 'if-modified-since': known.lastModified }),
      },
      timeoutMs: timeoutMs(),
      maxBodyBytes: MAX_SOURCE_BYTES,
      signal,
    })
    if (status === 304 && known !== null) return { kind: 'unchanged' }
    if (status !== 200) throw new Error(`the server answers with status ${status}`)
    const validators = { etag: headers.etag ?? null, lastModified: headers['last-modified'] ?? null }
    return { kind: 'fresh', text: body, validators }
  }
}
