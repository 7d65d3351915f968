import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import type { ByteSink } from '#worker/socket/byte-socket'
import { WriteSlots } from '#worker/socket/write-slots'

/** How long something that must happen may take at most on a busy machine. */
export const LIVENESS_MS = 10_000

/** Both ends of one TCP connection over loopback; the accepted one is paused, as the proxy's listener leaves it. */
export interface SocketPair {
  readonly peer: Socket
  readonly accepted: Socket
}

/** Opens a connection that is closed when the test ends. */
export async function openPair(t: TestContext): Promise<SocketPair> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A listening TCP server has an AddressInfo, never a path.
  const { port } = server.address() as AddressInfo
  const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  peer.on('error', () => {}) // resets are part of what is tested
  const [[accepted]] = await Promise.all([once(server, 'connection'), once(peer, 'connect')])
  server.close()
  t.after(() => {
    peer.destroy()
    accepted.destroy()
  })
  return { peer, accepted }
}

/** A sink that keeps what it is told, and lets tests wait for it. */
export class RecordingSink implements ByteSink {
  readonly events: string[]
  error: Error | null
  /** Called with each chunk after it was kept. */
  onBytes: ((chunk: Buffer) => void) | null
  readonly #chunks: Buffer[]
  #waiting: { event: string; resolve: () => void }[]

  constructor() {
    this.events = []
    this.error = null
    this.onBytes = null
    this.#chunks = []
    this.#waiting = []
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  bytes(chunk: Buffer): void {
    this.#chunks.push(Buffer.from(chunk))
    this.onBytes?.(chunk)
    chunk.fill(0xdb) // the chunk is the sink's to change
  }

  ended(): void {
    this.#tell('ended')
  }

  drained(): void {
    this.#tell('drained')
  }

  closed(error: Error | null): void {
    this.error = error
    this.#tell('closed')
  }

  /** Resolves when the event has been told, or was already. */
  async saw(event: 'ended' | 'drained' | 'closed'): Promise<void> {
    if (this.events.includes(event)) return
    await new Promise<void>((resolve) => this.#waiting.push({ event, resolve }))
  }

  #tell(event: string): void {
    this.events.push(event)
    for (const waiting of this.#waiting) if (waiting.event === event) waiting.resolve()
    this.#waiting = this.#waiting.filter((waiting) => waiting.event !== event)
  }
}

/** Slots that know how many of them are out. */
export class CountedSlots extends WriteSlots {
  outstanding: number
  outstandingBytes: number

  constructor() {
    super()
    this.outstanding = 0
    this.outstandingBytes = 0
  }

  override take(bytes: number): Buffer {
    const slot = super.take(bytes)
    this.outstanding += 1
    this.outstandingBytes += slot.length
    return slot
  }

  override giveBack(slot: Buffer): void {
    this.outstanding -= 1
    this.outstandingBytes -= slot.length
    super.giveBack(slot)
  }
}

/** Everything a socket receives until its FIN; what it sends is not touched. */
export async function readToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  if (!socket.readableEnded) await once(socket, 'end')
  return Buffer.concat(chunks)
}

/** Resolves when the socket is gone, however it ended. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve()
    else socket.once('close', () => resolve())
  })
}

/** Bytes that differ at every offset by which chunks could be mixed up. */
export function patternBytes(length: number, seed = 1): Buffer {
  const words = Uint32Array.from({ length: Math.ceil(length / 4) }, (_, index) => (index + seed) * 0x9e3779b1)
  return Buffer.from(words.buffer).subarray(0, length)
}
