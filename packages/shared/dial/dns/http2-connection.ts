import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2'
import { Attention } from './attention.ts'
import { buildHttpQuery, type HttpTarget, readHttpAnswer } from './http-message.ts'
import type { DnsConnection } from './kept-connection.ts'
import type { DnsAnswer, Question } from './message.ts'
import { cancelled } from './transport.ts'

/** DNS over HTTP/2: all questions at once over one connection. */
export class Http2Connection implements DnsConnection {
  readonly #session: ClientHttp2Session
  readonly #target: HttpTarget
  readonly #attention: Attention
  #failure: Error
  #isRetired: boolean

  /** @param session over a socket that is open and has its certificate checked */
  constructor(session: ClientHttp2Session, target: HttpTarget, idleMs: number) {
    this.#session = session
    this.#target = target
    this.#attention = new Attention(session, idleMs, () => session.close())
    this.#failure = new Error('the server closed the connection')
    this.#isRetired = false
    session.on('error', (error: Error) => (this.#failure = error))
    // It finishes what it has begun and takes nothing new.
    session.on('goaway', () => (this.#isRetired = true))
  }

  get isOpen(): boolean {
    return !this.#isRetired && !this.#session.closed && !this.#session.destroyed
  }

  async ask(question: Question, signal: AbortSignal): Promise<DnsAnswer> {
    const { headers, body } = buildHttpQuery(question)
    this.#attention.begin()
    try {
      const stream = this.#session.request({
        ...headers,
        ':method': 'POST',
        ':authority': this.#target.authority,
        ':path': this.#target.path,
      })
      return await this.#answerOf(stream, body, question, signal)
    } finally {
      this.#attention.end()
    }
  }

  retire(): void {
    this.#isRetired = true
    this.#attention.retire()
  }

  #answerOf(
    stream: ClientHttp2Stream,
    body: Buffer,
    question: Question,
    signal: AbortSignal,
  ): Promise<DnsAnswer> {
    return new Promise<DnsAnswer>((resolve, reject) => {
      const onAbort = (): void => {
        stream.close(constants.NGHTTP2_CANCEL)
        reject(cancelled())
      }
      stream.on('error', reject)
      stream.once('response', (received: IncomingHttpHeaders) => {
        const status = Number(received[constants.HTTP2_HEADER_STATUS])
        readHttpAnswer(status, received['content-type'], stream, question).then(resolve, (error: unknown) => {
          stream.close(constants.NGHTTP2_CANCEL)
          reject(error)
        })
      })
      // After the answer it comes too, and changes nothing.
      stream.once('close', () => {
        signal.removeEventListener('abort', onAbort)
        reject(this.#failure)
      })
      signal.addEventListener('abort', onAbort)
      if (signal.aborted) return onAbort()
      stream.end(body)
    })
  }
}
