import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'

/** What the fronting site says to whatever comes first. */
export const SITE_ANSWER: Buffer = Buffer.alloc(1500, 'site ')

export interface Site {
  readonly port: number
  close(): Promise<void>
}

/** Answers the first bytes, ends when the visitor does. */
export async function startSite(): Promise<Site> {
  const live = new Set<Socket>()
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    live.add(socket)
    socket.once('data', () => socket.write(SITE_ANSWER))
    socket.on('data', () => {})
    socket.on('end', () => socket.end())
    socket.on('error', () => {}) // visitors reset and threads die on purpose
    socket.on('close', () => live.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port, // listening on TCP
    close: async () => {
      for (const socket of live) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
