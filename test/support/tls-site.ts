import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo, Socket } from 'node:net'
import { createServer, type TlsOptions, type TLSSocket } from 'node:tls'

export interface TlsSite {
  readonly port: number
  /** TLS connections so far. */
  readonly connections: readonly TLSSocket[]
  close(): Promise<void>
}

/** A TLS server with the certificate of the other sites; `onConnection` speaks for it. */
export async function startTlsSite(
  options: TlsOptions = {},
  onConnection: (socket: TLSSocket) => void = () => {},
): Promise<TlsSite> {
  const connections: TLSSocket[] = []
  const raw = new Set<Socket>()
  const server = createServer(
    { key: readFixture('key'), cert: readFixture('cert'), ...options },
    (socket) => {
      socket.on('error', () => {})
      connections.push(socket)
      onConnection(socket)
    },
  )
  server.on('tlsClientError', () => {})
  server.on('connection', (socket: Socket) => {
    raw.add(socket)
    socket.on('close', () => raw.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port, // a TCP server has no other kind of address
    connections,
    close: async () => {
      server.close()
      for (const socket of raw) socket.destroy()
      await once(server, 'close')
    },
  }
}

function readFixture(name: 'key' | 'cert'): string {
  return readFileSync(new URL(`../fixtures/front-site-${name}.pem`, import.meta.url), 'utf8')
}
