import { ProxyHeaderError } from '#shared/errors'
import { parseProxyHeader, type ProxyHeader } from './proxy-protocol.ts'

const EMPTY = Buffer.alloc(0)

/** Gathers the PROXY header that a connection begins with. What it keeps is bounded by the longest header. */
export class ProxyHeaderReader {
  /** Rejects with ProxyHeaderError. */
  readonly header: Promise<ProxyHeader>
  readonly #settle: PromiseWithResolvers<ProxyHeader>
  #bytes: Buffer
  #isSettled: boolean

  constructor() {
    this.#settle = Promise.withResolvers()
    this.header = this.#settle.promise
    this.#bytes = EMPTY
    this.#isSettled = false
  }

  /**
   * Take what the socket gave; its memory may be used again.
   * @returns what of it is behind the header, as a view
   */
  push(chunk: Buffer): Buffer {
    if (this.#isSettled) return chunk
    const before = this.#bytes.length
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    const parsed = parseProxyHeader(this.#bytes)
    if (parsed === 'incomplete') return EMPTY
    this.#bytes = EMPTY
    if (!parsed.ok) {
      this.fail(new ProxyHeaderError(parsed.code, 'the connection does not begin with a sound PROXY header'))
      return EMPTY
    }
    this.#isSettled = true
    this.#settle.resolve(parsed)
    return chunk.subarray(parsed.headerBytes - before)
  }

  /** No header will come. */
  fail(error: ProxyHeaderError): void {
    this.#isSettled = true
    this.#settle.reject(error)
  }
}
