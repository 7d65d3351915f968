import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { DcConnection, patternSlice } from '../support/stream-dc.ts'

/** What a client asks the data centre of a soak for, in the first bytes of its session: `session u32le | mode | bytes u64le`. */
export const REQUEST_BYTES = 13
export const Mode = {
  /** Everything behind the request comes back. */
  echo: 0,
  /** So many bytes of the pattern, then silence. */
  source: 1,
  /** The same, then FIN. */
  sourceThenEnd: 2,
  /** Reads; answers FIN with the number of bytes behind the request (u64le) and FIN. */
  sink: 3,
} as const
export type Mode = (typeof Mode)[keyof typeof Mode]

/** What the data centre has seen of one session. Payload bytes, the request included. */
export interface FarSide {
  received: number
  sent: number
  isClosed: boolean
}

const CHUNK_BYTES = 32 * 1024

export function buildRequest(session: number, mode: Mode, bytes = 0): Buffer {
  const request = Buffer.alloc(REQUEST_BYTES)
  request.writeUInt32LE(session, 0)
  request[4] = mode
  request.writeBigUInt64LE(BigInt(bytes), 5)
  return request
}

/** Serves the modes above and remembers each session's bytes until somebody takes them. */
export class DataCentre {
  readonly port: number
  readonly #sessions: Map<number, FarSide>
  readonly #stop: () => Promise<void>

  constructor(port: number, sessions: Map<number, FarSide>, stop: () => Promise<void>) {
    this.port = port
    this.#sessions = sessions
    this.#stop = stop
  }

  /** As it stands; nothing, if the request has not come. */
  look(session: number): FarSide {
    return this.#sessions.get(session) ?? { received: 0, sent: 0, isClosed: true }
  }

  forget(session: number): void {
    this.#sessions.delete(session)
  }

  close(): Promise<void> {
    return this.#stop()
  }
}

export async function startDataCentre(): Promise<DataCentre> {
  const sessions = new Map<number, FarSide>()
  const live = new Set<Socket>()
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    live.add(socket)
    socket.on('error', () => {}) // clients reset and threads die on purpose
    socket.on('close', () => live.delete(socket))
    serve(new DcConnection(socket), sessions)
  })
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // listening on TCP
  return new DataCentre(port, sessions, async () => {
    for (const socket of live) socket.destroy()
    server.close()
    await once(server, 'close')
  })
}

function serve(connection: DcConnection, sessions: Map<number, FarSide>): void {
  const { socket } = connection
  const far: FarSide = { received: 0, sent: 0, isClosed: false }
  let request = Buffer.alloc(0)
  let mode: number | null = null
  const write = (bytes: Buffer): boolean => {
    far.sent += bytes.length
    return connection.write(bytes)
  }
  const waitUnless = (isWritable: boolean): void => {
    if (isWritable || socket.isPaused()) return
    socket.pause()
    socket.once('drain', () => socket.resume())
  }
  let dueBytes = 0
  let endsAfter = false
  const stream = (): void => {
    while (dueBytes > 0 && !socket.destroyed) {
      const bytes = Math.min(CHUNK_BYTES, dueBytes)
      dueBytes -= bytes
      if (write(patternSlice(far.sent, bytes))) continue
      return void socket.once('drain', stream)
    }
    if (endsAfter) socket.end()
  }
  const begin = (): void => {
    mode = request[4] ?? 0
    sessions.set(request.readUInt32LE(0), far)
    if (mode !== Mode.source && mode !== Mode.sourceThenEnd) return
    dueBytes = Number(request.readBigUInt64LE(5))
    endsAfter = mode === Mode.sourceThenEnd
    stream()
  }
  socket.on('data', (chunk: Buffer) => {
    let payload = connection.accept(chunk)
    far.received += payload.length
    if (mode === null) {
      request = Buffer.concat([request, payload])
      if (request.length < REQUEST_BYTES) return
      payload = request.subarray(REQUEST_BYTES)
      begin()
    }
    if (mode === Mode.echo && payload.length > 0) waitUnless(write(payload))
  })
  socket.on('close', () => {
    far.isClosed = true
  })
  socket.on('end', () => {
    if (mode === Mode.sink) {
      const count = Buffer.alloc(8)
      count.writeBigUInt64LE(BigInt(far.received - REQUEST_BYTES))
      write(count)
    }
    endsAfter = true
    if (dueBytes === 0) socket.end()
  })
}
