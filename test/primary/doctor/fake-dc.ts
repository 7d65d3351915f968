import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

import type { HostPort } from '#shared/dc'

import {
  acceptFrame,
  buildPacket,
  buildTransportError,
  FRAME_BYTES,
  PacketReader,
} from '../../support/telegram-dc/obfuscated-transport.ts'

/** What the data centre does with a req_pq_multi. */
export type DcManner = 'answer' | 'other-nonce' | 'garbage' | 'transport-error' | 'hang-up' | 'silence'

export interface FakeDc {
  readonly address: HostPort
  /** The data centres that the frames named. */
  readonly dcs: readonly number[]
  readonly connectionCount: number
}

/** Answers one kind of request: enough for a probe, and able to misbehave. Closed when the test ends. */
export async function startFakeDc(t: TestContext, manner: DcManner = 'answer'): Promise<FakeDc> {
  const dcs: number[] = []
  const sockets = new Set<Socket>()
  let connectionCount = 0
  const server = createServer((socket) => {
    connectionCount += 1
    sockets.add(socket)
    socket.on('error', () => {}) // probes leave when they have what they want
    void serve(socket, manner, dcs).catch((error: unknown) => socket.destroy(error as Error))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo // listening on TCP
  return {
    address: { host: '127.0.0.1', port },
    dcs,
    get connectionCount() {
      return connectionCount
    },
  }
}

async function serve(socket: Socket, manner: DcManner, dcs: number[]): Promise<void> {
  let head: Buffer = Buffer.alloc(0)
  let streams: ReturnType<typeof acceptFrame> | null = null
  const packets = new PacketReader()
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    let rest: Buffer = chunk
    if (streams === null) {
      head = Buffer.concat([head, chunk])
      if (head.length < FRAME_BYTES) continue
      streams = acceptFrame(head.subarray(0, FRAME_BYTES))
      dcs.push(streams.dc)
      rest = head.subarray(FRAME_BYTES)
    }
    for (const packet of packets.push(streams.receive.update(rest))) {
      if (manner === 'hang-up') return void socket.destroy()
      const answer = buildAnswer(packet, manner)
      // In two parts: what a network does at times.
      if (answer === null) continue
      const wire = streams.send.update(answer)
      socket.write(wire.subarray(0, 7))
      setImmediate(() => socket.write(wire.subarray(7)))
    }
  }
}

/** core.telegram.org/mtproto/auth_key: resPQ. */
function buildAnswer(request: Buffer, manner: DcManner): Buffer | null {
  if (request.readUInt32LE(20) !== 0xbe7e8ef1 || request.readUInt32LE(16) !== 20)
    throw new Error('not a req_pq_multi')
  if (manner === 'silence') return null
  if (manner === 'transport-error') return buildTransportError(404)
  if (manner === 'garbage') return buildPacket(Buffer.alloc(84, 0x5a))
  const nonce = manner === 'other-nonce' ? Buffer.alloc(16, 7) : request.subarray(24, 40)
  const body = Buffer.concat([
    Buffer.from('63241605', 'hex'),
    nonce,
    Buffer.alloc(16, 1),
    Buffer.from('0817ed48941a08f981000000', 'hex'),
    Buffer.from('15c4b51c01000000', 'hex'),
    Buffer.alloc(8, 2),
  ])
  const header = Buffer.alloc(20)
  header.writeBigInt64LE((BigInt(Date.now()) << 32n) / 1000n, 8)
  header.writeUInt32LE(body.length, 16)
  return buildPacket(Buffer.concat([header, body]))
}
