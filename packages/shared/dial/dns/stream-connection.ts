import { randomInt } from 'node:crypto'
import type { Socket } from 'node:net'
import { Attention } from './attention.ts'
import type { DnsConnection } from './kept-connection.ts'
import {
  buildQuery,
  type DnsAnswer,
  MAX_MESSAGE_BYTES,
  parseAnswer,
  type Question,
  readAnswerId,
} from './message.ts'
import { cancelled } from './transport.ts'

const LENGTH_BYTES = 2
const MAX_ID = 0xffff

interface Waiting {
  readonly question: Question
  readonly settle: (answer: DnsAnswer | Error) => void
}

/**
 * DNS messages over a TCP or TLS connection, each behind its length (RFC 1035 §4.2.2). Questions are sent without
 * waiting for the answers before, which may come in any order (RFC 7766 §6.2.1.1).
 */
export class StreamConnection implements DnsConnection {
  readonly #socket: Socket
  readonly #attention: Attention
  readonly #waiting: Map<number, Waiting>
  #received: Buffer
  #isRetired: boolean

  /** @param socket open, nothing has been read from it */
  constructor(socket: Socket, idleMs: number) {
    this.#socket = socket
    this.#attention = new Attention(socket, idleMs, () => socket.destroy())
    this.#waiting = new Map()
    this.#received = Buffer.alloc(0)
    this.#isRetired = false
    let failure = new Error('the server closed the connection')
    // Without an encoding the chunks are Buffers.
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('end', () => socket.destroy())
    socket.on('error', (error) => (failure = error))
    socket.on('close', () => {
      for (const { settle } of this.#waiting.values()) settle(failure)
    })
  }

  get isOpen(): boolean {
    return !this.#isRetired && !this.#socket.destroyed
  }

  ask(question: Question, signal: AbortSignal): Promise<DnsAnswer> {
    return new Promise((resolve, reject) => {
      if (signal.aborted || this.#socket.destroyed) return reject(cancelled())
      const id = this.#pickId()
      const onAbort = (): void => settle(cancelled())
      const settle = (answer: DnsAnswer | Error): void => {
        signal.removeEventListener('abort', onAbort)
        this.#waiting.delete(id)
        this.#attention.end()
        if (answer instanceof Error) reject(answer)
        else resolve(answer)
      }
      signal.addEventListener('abort', onAbort)
      this.#waiting.set(id, { question, settle })
      this.#attention.begin()
      const query = buildQuery(id, question)
      // In one write: some servers read no further than the first segment (RFC 7766 §8).
      const framed = Buffer.alloc(LENGTH_BYTES + query.length)
      framed.writeUInt16BE(query.length)
      query.copy(framed, LENGTH_BYTES)
      this.#socket.write(framed)
    })
  }

  retire(): void {
    this.#isRetired = true
    this.#attention.retire()
  }

  /** Questions in flight are few (see `AskLimit`), so a free one is found at once. */
  #pickId(): number {
    for (;;) {
      const id = randomInt(MAX_ID + 1)
      if (!this.#waiting.has(id)) return id
    }
  }

  #read(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    while (this.#received.length >= LENGTH_BYTES) {
      const length = this.#received.readUInt16BE()
      if (length > MAX_MESSAGE_BYTES) {
        this.#socket.destroy(new Error(`an answer of ${length} bytes, at most ${MAX_MESSAGE_BYTES} are read`))
        return
      }
      const end = LENGTH_BYTES + length
      if (this.#received.length < end) return
      this.#take(this.#received.subarray(LENGTH_BYTES, end))
      this.#received = this.#received.subarray(end)
    }
  }

  #take(message: Buffer): void {
    const id = readAnswerId(message)
    const waiting = id === null ? undefined : this.#waiting.get(id)
    // The answer to a question that nobody waits for any more.
    if (id === null || waiting === undefined) return
    const answer = parseAnswer(message, id, waiting.question)
    waiting.settle(answer ?? new Error('the server answered another question, or not in DNS'))
  }
}
