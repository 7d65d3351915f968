import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

export interface FakeSocks {
  readonly port: number
  /** `host:port` of every request. */
  readonly targets: readonly string[]
}

/** A SOCKS5 server (RFC 1928) that wants this user name and password (RFC 1929). Closed when the test ends. */
export async function startFakeSocks(t: TestContext, username: string, password: string): Promise<FakeSocks> {
  const targets: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    sockets.add(client)
    client.on('error', () => {}) // probes leave when they have what they want
    let stage: 'greeting' | 'credentials' | 'request' | 'relaying' = 'greeting'
    // Each message of such a short exchange comes in one piece on the loopback.
    client.on('data', (chunk: Buffer) => {
      if (stage === 'greeting') {
        stage = 'credentials'
        client.write(Buffer.of(5, 2))
      } else if (stage === 'credentials') {
        const isRight = chunk.includes(username) && chunk.includes(password)
        stage = 'request'
        client.write(Buffer.of(1, isRight ? 0 : 1))
      } else if (stage === 'request') {
        stage = 'relaying'
        const host = chunk.subarray(4, 8).join('.')
        const port = chunk.readUInt16BE(8)
        targets.push(`${host}:${port}`)
        const target = connect({ host, port }, () => {
          client.write(Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0))
          target.pipe(client)
          client.pipe(target)
        })
        sockets.add(target)
        target.on('error', () => client.end(Buffer.of(5, 5, 0, 1, 0, 0, 0, 0, 0, 0)))
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo // listening on TCP
  return { port, targets }
}
