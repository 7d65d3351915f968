import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { findFreePort } from './free-port.ts'

/**
 * What can be wrong with a server that we talk to:
 * - `down`: nobody listens
 * - `reset`: RST instead of an answer
 * - `hang`: accepts, reads, says nothing
 * - `garbage`: answers the first bytes with GARBAGE_BYTES of noise, and ends
 * - `dribble`: answers as it should, one byte a packet
 * - `truncate`: answers with TRUNCATED_BYTES of what it should, and resets
 */
export const WAY_FAULTS = ['down', 'reset', 'hang', 'garbage', 'dribble', 'truncate'] as const
export type WayFault = (typeof WAY_FAULTS)[number]

export const GARBAGE_BYTES = 2000
export const TRUNCATED_BYTES = 3

/** A TCP port that leads to a sound server, unless it is told to fail. */
export class FaultyWay {
  readonly port: number
  readonly #targetPort: number
  readonly #sockets: Set<Socket>
  #server: Server | null
  #fault: WayFault | null

  constructor(port: number, targetPort: number) {
    this.port = port
    this.#targetPort = targetPort
    this.#sockets = new Set()
    this.#server = null
    this.#fault = 'down'
  }

  /** For connections from now on; those that are there go on as they began. */
  async setFault(fault: WayFault | null): Promise<void> {
    this.#fault = fault
    if (fault === 'down') return this.#stop()
    if (this.#server !== null) return
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket))
    await once(this.#server.listen(this.port, '127.0.0.1'), 'listening')
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await this.#stop()
  }

  async #stop(): Promise<void> {
    const server = this.#server
    this.#server = null
    if (server === null) return
    server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(server, 'close')
  }

  #accept(socket: Socket): void {
    this.#keep(socket)
    switch (this.#fault) {
      case 'reset':
        socket.once('data', () => socket.resetAndDestroy())
        return
      case 'hang':
        return void socket.resume()
      case 'garbage':
        socket.once('data', () => socket.end(randomBytes(GARBAGE_BYTES)))
        return
      case null:
      case 'dribble':
      case 'truncate':
        return this.#pass(socket, this.#fault)
      case 'down':
        return void socket.destroy() // accepted by the kernel before it was told
    }
  }

  #pass(socket: Socket, fault: 'dribble' | 'truncate' | null): void {
    const target = connect({ port: this.#targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    this.#keep(target)
    socket.pipe(target)
    if (fault === null) target.pipe(socket)
    else if (fault === 'dribble') void dribble(target, socket)
    else {
      // No encoding is set, so chunks are Buffers.
      target.once('data', (chunk) => {
        socket.write((chunk as Buffer).subarray(0, TRUNCATED_BYTES), () => socket.resetAndDestroy())
      })
    }
    socket.on('close', () => target.destroy())
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
  }
}

async function dribble(from: Socket, to: Socket): Promise<void> {
  try {
    for await (const chunk of from) {
      for (const byte of chunk as Buffer) {
        to.write(Buffer.of(byte))
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    to.end()
  } catch {
    to.destroy() // whoever it was for has left
  }
}

/** Sound at first; ends with the test. */
export async function startFaultyWay(t: TestContext, targetPort: number): Promise<FaultyWay> {
  const way = new FaultyWay(await findFreePort(), targetPort)
  await way.setFault(null)
  t.after(() => way.close())
  return way
}
