import { isIPv4, isIPv6, type LookupFunction } from 'node:net'

import { httpGet, type HttpGetOptions } from './http-client.ts'

/** Answers with the address a request came from (operator.md §4). */
export const PUBLIC_IP_URL = 'https://ifconfig.co'
/** A longer wait tells nothing more: where the service is blocked, packets are dropped in silence. */
const MAX_WAIT_MS = 5000
/** An address has 45 characters at most; an error page may be of any size. */
const MAX_ANSWER_BYTES = 256
/** Browsers get a web page. */
const HEADERS = { accept: 'text/plain', 'user-agent': 'curl/8.5.0' }

/** Under which addresses clients reach this host; null: unknown or none. */
export interface PublicIps {
  readonly ipv4: string | null
  readonly ipv6: string | null
}

export interface DetectOptions {
  /** Addresses known already, by a flag or the configuration: their families are not asked for. */
  readonly known: PublicIps
  /** `network.timeout.http`; more than 5 s is cut. */
  readonly timeoutMs: number
  readonly url?: string
  readonly signal?: AbortSignal
  /** How the service's name is resolved; absent: by the system. */
  readonly lookup?: LookupFunction
  readonly ca?: string
}

/**
 * The public addresses of this host: what is known, and for the other family what a web service sees, asked directly
 * whatever proxies are configured. Both families at once. A failure is not an error: the address stays unknown.
 */
export async function detectPublicIps(options: DetectOptions): Promise<PublicIps> {
  const [ipv4, ipv6] = await Promise.all([
    options.known.ipv4 ?? askPublicIp(4, options),
    options.known.ipv6 ?? askPublicIp(6, options),
  ])
  return { ipv4, ipv6 }
}

async function askPublicIp(family: 4 | 6, options: DetectOptions): Promise<string | null> {
  const request: HttpGetOptions = {
    family,
    headers: HEADERS,
    timeoutMs: Math.min(options.timeoutMs, MAX_WAIT_MS),
    maxBodyBytes: MAX_ANSWER_BYTES,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  }
  try {
    const { status, body } = await httpGet(options.url ?? PUBLIC_IP_URL, request)
    const text = body.toString('latin1').trim()
    const isRight = family === 4 ? isIPv4(text) : isIPv6(text)
    return status === 200 && isRight ? text : null
  } catch {
    return null
  }
}
