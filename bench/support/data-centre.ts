import { createCipheriv } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { parseArgs } from 'node:util'

import { createBehaviour, type Behaviour } from './data-centre-behaviours.ts'
import { acceptSocks } from './socks-face.ts'
import { tellFailure } from './tell-failure.ts'

/**
 * The data centre of the benches, a program: speaks obfuscated2 without a secret on one port, and on another one, the
 * SOCKS5 face, the same behind a CONNECT to any address. The first byte of a connection's payload says what it is for
 * (data-centre-behaviours.ts). Prints `{"port":…,"socksPort":…}` and serves until its stdin ends.
 */
const FRAME_BYTES = 64
/** Benches open thousands of connections at once. */
const BACKLOG = 4096

/** Connections whose frame has come whole encrypt and decrypt with it. */
function serve(socket: Socket): void {
  let head = Buffer.alloc(0)
  let behaviour: Behaviour | null = null
  socket.setNoDelay(true)
  // No encoding is set, so chunks are Buffers.
  socket.on('data', (chunk) => {
    if (behaviour !== null) return behaviour.take(chunk as Buffer)
    head = Buffer.concat([head, chunk as Buffer])
    if (head.length <= FRAME_BYTES) return
    const frame = head.subarray(0, FRAME_BYTES)
    const receive = createCipheriv('aes-256-ctr', frame.subarray(8, 40), frame.subarray(40, 56))
    const reversed = Buffer.from(frame.subarray(8, 56)).reverse()
    const send = createCipheriv('aes-256-ctr', reversed.subarray(0, 32), reversed.subarray(32, 48))
    receive.update(frame)
    const [purpose = 0] = receive.update(head.subarray(FRAME_BYTES, FRAME_BYTES + 1))
    const started = createBehaviour(String.fromCharCode(purpose), { socket, send, receive })
    if (started === null) return void socket.destroy(new Error('not a client of the benches'))
    behaviour = started
    if (head.length > FRAME_BYTES + 1) behaviour.take(head.subarray(FRAME_BYTES + 1))
    head = Buffer.alloc(0)
  })
  socket.on('end', () => socket.end())
  // Clients leave as they like.
  socket.on('error', () => {})
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  server.listen({ host, port, backlog: BACKLOG })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port // a TCP server has no other kind of address
}

tellFailure()
const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    'socks-port': { type: 'string', default: '0' },
  },
})
const options = { noDelay: true, allowHalfOpen: true } as const
const port = await listen(createServer(options, serve), values.host, Number(values.port))
const face = createServer(options, (socket) => acceptSocks(socket, serve))
const socksPort = await listen(face, values.host, Number(values['socks-port']))
process.stdout.write(`${JSON.stringify({ port, socksPort })}\n`)
process.stdin.on('end', () => process.exit(0)).resume()
