import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { ByteSocket } from './byte-socket.ts'
import { WriteSlots } from './write-slots.ts'

/** Loopback answers in well under a millisecond; a machine that takes this long gets the plain path. */
const SELF_TEST_TIMEOUT_MS = 5000
const PROBE = 'shared read buffer'

/**
 * Whether this Node lets the handle of an accepted socket be wrapped around a shared read buffer (`ByteSocket.adopt` leans
 * on internals). False means: read by 'data' events, which costs more CPU and is right all the same.
 */
export async function canShareReadBuffer(): Promise<boolean> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const client = connect(port, '127.0.0.1')
  client.on('error', () => {})
  try {
    // `once` gives unknown[]; a server's 'connection' carries its socket.
    const [accepted] = (await once(server, 'connection')) as [Socket]
    return await echoesThroughSharedBuffer(client, accepted)
  } catch {
    return false
  } finally {
    client.destroy()
    server.close()
  }
}

function echoesThroughSharedBuffer(client: Socket, accepted: Socket): Promise<boolean> {
  const buffer = Buffer.alloc(64)
  const wrapped = ByteSocket.adopt(accepted, new WriteSlots(), buffer)
  return new Promise((resolve) => {
    const finish = (works: boolean): void => {
      clearTimeout(timer)
      wrapped.destroy()
      resolve(works)
    }
    const timer = setTimeout(finish, SELF_TEST_TIMEOUT_MS, false)
    let shared = false
    wrapped.setSink({
      bytes: (chunk) => {
        shared = chunk.buffer === buffer.buffer
        wrapped.writeCopy(chunk)
      },
      ended: () => wrapped.end(),
      drained: () => {},
      closed: (error) => {
        if (error !== null) finish(false)
      },
    })
    let answer = ''
    client.setEncoding('latin1')
    client.on('data', (text: string) => (answer += text))
    client.on('end', () => finish(shared && answer === PROBE))
    wrapped.resume()
    client.end(PROBE)
  })
}
