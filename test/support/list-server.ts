import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

/** What the server says at a path. */
export interface ListAnswer {
  readonly body: string | Uint8Array
  readonly status?: number
  /** With quotation marks. It is honoured: whoever has it gets 304. */
  readonly etag?: string
  /** An HTTP date, honoured alike. */
  readonly lastModified?: string
  /** The answer waits for this. */
  readonly after?: Promise<unknown>
  /** The connection is gone behind so much of the body. */
  readonly cutAfterBytes?: number
}

export interface ListRequest {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** What it got. */
  readonly status: number
}

/** A web server with IP lists that change when a test says so. Paths without an answer are 404. */
export interface ListServer {
  readonly answers: Map<string, ListAnswer>
  readonly requests: readonly ListRequest[]
  /** Requests that have come and are not answered: now, and at most. */
  readonly open: { now: number; most: number }
  url(path: string): string
  /** Take no more connections; those that are open are cut. */
  close(): Promise<void>
}

export async function startListServer(
  t: TestContext,
  lists: Record<string, ListAnswer> = {},
): Promise<ListServer> {
  const answers = new Map(Object.entries(lists))
  const requests: ListRequest[] = []
  const open = { now: 0, most: 0 }
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    const answer = answers.get(path) ?? { body: 'not found', status: 404 }
    open.now += 1
    open.most = Math.max(open.most, open.now)
    const { headers } = request
    const isKnown =
      (answer.etag !== undefined && headers['if-none-match'] === answer.etag) ||
      (answer.lastModified !== undefined && headers['if-modified-since'] === answer.lastModified)
    const status = isKnown ? 304 : (answer.status ?? 200)
    void Promise.resolve(answer.after).then(() => {
      open.now -= 1
      requests.push({ path, headers, status })
      if (answer.etag !== undefined) response.setHeader('etag', answer.etag)
      if (answer.lastModified !== undefined) response.setHeader('last-modified', answer.lastModified)
      if (answer.cutAfterBytes !== undefined) {
        const body = Buffer.from(answer.body)
        response.writeHead(status, { 'content-length': body.length })
        response.write(body.subarray(0, answer.cutAfterBytes), () => response.destroy())
        return
      }
      response.writeHead(status).end(isKnown ? undefined : answer.body)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // listening on TCP
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    if (!server.listening) return
    server.close()
    await once(server, 'close')
  }
  t.after(close)
  return { answers, requests, open, url: (path) => `http://127.0.0.1:${port}${path}`, close }
}
