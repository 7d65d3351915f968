import { randomFillSync } from 'node:crypto'

import { PURPOSE } from './data-centre-behaviours.ts'
import type { Line, LineOptions } from './line.ts'
import type { LoadTarget } from './scenario.ts'

const MESSAGE_BYTES = 200
/** Only a stalled proxy takes so long. */
const STALL_TIMEOUT_MS = 30_000

/** Through the proxy or straight. */
export type Way = (target: LoadTarget, options: LineOptions) => Promise<Line>

/** Has messages of 200 bytes echoed, one at a time; each of them is compared. */
export class EchoClient {
  readonly #line: Line
  readonly #message: Buffer
  readonly #answer: Buffer
  #receivedBytes: number
  #isWaiting: boolean
  #wake: () => void
  #fail: (error: Error) => void
  #failure: Error | null

  private constructor(line: Line) {
    this.#line = line
    this.#message = randomFillSync(Buffer.alloc(MESSAGE_BYTES))
    this.#answer = Buffer.alloc(MESSAGE_BYTES)
    this.#receivedBytes = 0
    this.#isWaiting = false
    this.#wake = () => {}
    this.#fail = () => {}
    this.#failure = null
    line.onClose = (error) => {
      this.#failure = error
      this.#fail(error)
    }
    line.onPayload = (bytes) => this.#take(line.decrypt(bytes))
    line.socket.setTimeout(STALL_TIMEOUT_MS, () => {
      if (this.#isWaiting) line.socket.destroy(new Error('no echo'))
    })
  }

  static async open(target: LoadTarget, way: Way, options: Partial<LineOptions> = {}): Promise<EchoClient> {
    const client = new EchoClient(await way(target, { ...options, purpose: PURPOSE.echo }))
    await client.roundTrip()
    return client
  }

  /** Returns the milliseconds it took. Rejects when the connection ends or the echo differs. */
  roundTrip(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure)
      const startedMs = performance.now()
      this.#receivedBytes = 0
      this.#isWaiting = true
      this.#fail = reject
      this.#wake = () => resolve(performance.now() - startedMs)
      this.#line.send(this.#message)
    })
  }

  get isClosed(): boolean {
    return this.#line.socket.destroyed
  }

  close(): void {
    this.#line.close()
  }

  #take(bytes: Buffer): void {
    if (this.#receivedBytes + bytes.length > MESSAGE_BYTES)
      return this.#fail(new Error('too much of an echo'))
    bytes.copy(this.#answer, this.#receivedBytes)
    this.#receivedBytes += bytes.length
    if (this.#receivedBytes < MESSAGE_BYTES) return
    this.#isWaiting = false
    if (this.#answer.equals(this.#message)) this.#wake()
    else this.#fail(new Error('the echo differs'))
  }
}
