import { Agent, request } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { AskLimit } from './ask-limit.ts'
import { Attention } from './attention.ts'
import { buildHttpQuery, type HttpTarget, readHttpAnswer } from './http-message.ts'
import type { DnsConnection } from './kept-connection.ts'
import type { DnsAnswer, Question } from './message.ts'

/** A connection is busy until its question is answered, so that one slow name holds up others; these are enough. */
const MAX_SOCKETS = 8

/** The agent looks after what its sockets keep from ending. */
const NOTHING = { ref: () => {}, unref: () => {} }

/** DNS over HTTP/1.1, for servers that have nothing newer: a few connections, on each one question after the other. */
export class Http1Pool implements DnsConnection {
  readonly #target: HttpTarget
  readonly #attention: Attention
  /** Node's agent has a line as well, in which whoever comes while a socket becomes free goes first, and the first go last. */
  readonly #line: AskLimit
  readonly #agent: Agent
  #isOver: boolean

  /**
   * @param first open, its certificate is checked
   * @param open makes another one like it
   */
  constructor(first: TLSSocket, open: () => Promise<TLSSocket>, target: HttpTarget, idleMs: number) {
    this.#target = target
    this.#isOver = false
    this.#line = new AskLimit(MAX_SOCKETS)
    this.#attention = new Attention(NOTHING, idleMs, () => {
      this.#isOver = true
      this.#agent.destroy()
    })
    this.#agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, maxFreeSockets: MAX_SOCKETS })
    let unused: TLSSocket | null = first
    this.#agent.createConnection = (_, done) => {
      const socket = unused
      unused = null
      if (socket !== null && !socket.destroyed) return socket
      open().then(
        (another) => process.nextTick(() => done?.(null, another)),
        // The type wants a socket beside an error, too; nobody looks at it.
        (error: unknown) => process.nextTick(() => done?.(error as Error, first)),
      )
    }
  }

  get isOpen(): boolean {
    return !this.#isOver
  }

  async ask(question: Question, signal: AbortSignal): Promise<DnsAnswer> {
    this.#attention.begin()
    try {
      return await this.#line.run(() => this.#exchange(question, signal))
    } finally {
      this.#attention.end()
    }
  }

  retire(): void {
    this.#isOver = true
    this.#attention.retire()
  }

  #exchange(question: Question, signal: AbortSignal): Promise<DnsAnswer> {
    const { headers, body } = buildHttpQuery(question)
    return new Promise((resolve, reject) => {
      const outgoing = request({
        agent: this.#agent,
        method: 'POST',
        path: this.#target.path,
        headers: { ...headers, host: this.#target.authority },
        signal,
      })
      outgoing.on('error', reject)
      outgoing.once('response', (response) => {
        readHttpAnswer(response.statusCode ?? 0, response.headers['content-type'], response, question).then(
          resolve,
          (error: unknown) => {
            outgoing.destroy()
            reject(error)
          },
        )
      })
      outgoing.end(body)
    })
  }
}
