import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { createServer, type TlsOptions } from 'node:tls'

const read = (name: string): string =>
  readFileSync(new URL(`../../fixtures/${name}`, import.meta.url), 'utf8')

/** Self-signed, for front.test, localhost, example.com, *.example.com and 127.0.0.1, until 2126. */
export const CERTIFICATE: string = read('front-site-cert.pem')

export interface TlsSite {
  readonly port: number
  /** What was asked for by SNI. */
  readonly serverNames: readonly string[]
}

/** A TLS server on 127.0.0.1, closed when the test ends. */
export async function startTlsSite(t: TestContext, options: TlsOptions = {}): Promise<TlsSite> {
  const serverNames: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer({
    key: read('front-site-key.pem'),
    cert: CERTIFICATE,
    ...options,
    // Earlier than the end of the handshake, which the probe does not wait for on this side.
    SNICallback: (name, done) => {
      serverNames.push(name)
      done(null)
    },
  })
  server.on('secureConnection', (socket) => socket.on('error', () => {})) // probes leave without a goodbye
  server.on('tlsClientError', () => {})
  server.on('connection', (socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, serverNames } // listening on TCP
}

/** Takes a PROXY header of 16 bytes away before it lets TLS begin, and closes on anything else. */
export async function startProxyHeaderSite(t: TestContext, site: TlsSite): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createTcpServer((client) => {
    sockets.add(client)
    client.on('error', () => {}) // probes leave without a goodbye
    client.once('readable', () => {
      const header = client.read(16) as Buffer | null // no encoding is set
      if (header?.toString('hex') !== '0d0a0d0a000d0a515549540a20000000') return client.destroy()
      const inner = connect(site.port, '127.0.0.1')
      sockets.add(inner)
      inner.on('error', () => client.destroy())
      client.pipe(inner).pipe(client)
      return client
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port // listening on TCP
}
