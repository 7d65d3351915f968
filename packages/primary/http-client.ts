import {
  Agent as HttpAgent,
  request as requestHttp,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { HostPort } from '#shared/dc'
import { showUrl } from '#shared/show-url'

/** Sites move; a longer chain is a loop or a game. */
const MAX_REDIRECTS = 3

export interface HttpGetOptions {
  /** Use addresses of this family only; absent: whatever the host has. */
  readonly family?: 4 | 6
  /** How the host is resolved, unless somebody else dials; absent: by the system. */
  readonly lookup?: LookupFunction
  readonly headers?: Readonly<Record<string, string>>
  /** For the whole request, redirects included. */
  readonly timeoutMs: number
  readonly maxBodyBytes: number
  readonly signal?: AbortSignal
  /** PEM certificates to trust in place of the system's. */
  readonly ca?: string
  /** Opens the connections, to hosts as the URL names them: the ways that the configuration chooses. Absent: directly. */
  readonly dial?: (address: HostPort, signal: AbortSignal) => Promise<Socket>
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/**
 * GET over HTTP or HTTPS. Redirects are followed, but never from https to http.
 * @returns whatever the status is
 * @throws Error with the URL and the reason: no connection, too large, too slow, a redirect too many
 */
export async function httpGet(url: string, options: HttpGetOptions): Promise<HttpAnswer> {
  const limit = AbortSignal.timeout(options.timeoutMs)
  const signal = options.signal === undefined ? limit : AbortSignal.any([limit, options.signal])
  try {
    let target = new URL(url)
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const answer = await getOnce(target, options, signal)
      const next = findRedirect(answer, target)
      if (next === null) return answer
      target = next
    }
    throw new Error(`more than ${MAX_REDIRECTS} redirects`)
  } catch (cause) {
    const reason = limit.aborted ? `timed out after ${options.timeoutMs} ms` : describeError(cause)
    throw new Error(`cannot get ${showUrl(url)}: ${reason}`, { cause })
  }
}

async function getOnce(url: URL, options: HttpGetOptions, signal: AbortSignal): Promise<HttpAnswer> {
  const request = chooseRequest(url)
  const literal = isIP(url.hostname.replace(/^\[|\]$/g, ''))
  // The family pins only what is looked up: an address in the URL would be dialled whatever it is.
  if (options.family !== undefined && literal !== 0 && literal !== options.family)
    throw new Error(`${url.hostname} is not an IPv${options.family} address`)
  // No pool: a connection kept for later would keep a command from ending.
  const agent = options.dial === undefined ? false : await dialAgent(url, options.dial, signal, options.ca)
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      headers: { ...options.headers },
      signal,
      agent,
      ...(options.family === undefined ? {} : { family: options.family }),
      ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    })
    outgoing.once('error', reject)
    outgoing.once('response', (response) => {
      readBody(response, options.maxBodyBytes).then(
        (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        (error: unknown) => {
          outgoing.destroy()
          reject(error)
        },
      )
    })
    outgoing.end()
  })
}

/** An agent for one request over a connection that was opened elsewhere; TLS is spoken in it as usual. */
async function dialAgent(
  url: URL,
  dial: NonNullable<HttpGetOptions['dial']>,
  signal: AbortSignal,
  ca: string | undefined,
): Promise<HttpAgent> {
  const isTls = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const socket = await dial({ host, port: Number(url.port) || (isTls ? 443 : 80) }, signal)
  const agent = isTls ? new HttpsAgent() : new HttpAgent()
  const servername = isIP(host) === 0 ? { servername: host } : {}
  agent.createConnection = () =>
    isTls ? connectTls({ socket, host, ...servername, ...(ca === undefined ? {} : { ca }) }) : socket
  return agent
}

function chooseRequest(url: URL): typeof requestHttps {
  if (url.protocol === 'https:') return requestHttps
  if (url.protocol === 'http:') return requestHttp
  throw new Error(`${url.protocol} is not spoken here`)
}

async function readBody(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  // Without an encoding the chunks are Buffers.
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function findRedirect(answer: HttpAnswer, from: URL): URL | null {
  const { location } = answer.headers
  if (answer.status < 300 || answer.status > 399 || location === undefined) return null
  const to = new URL(location, from)
  if (from.protocol === 'https:' && to.protocol !== 'https:')
    throw new Error('redirected to a place without TLS')
  return to
}

/** Failed attempts at several addresses come as one error without a message of its own. */
function describeError(error: unknown): string {
  if (error instanceof AggregateError && error.message === '')
    return error.errors.map(describeError).join(', ')
  return error instanceof Error ? error.message : String(error)
}
