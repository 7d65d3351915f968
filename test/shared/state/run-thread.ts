import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** A thread of a fixture beside this file. Rejects waiting when the thread fails. */
export class TestThread {
  readonly #worker: Worker
  readonly #exited: Promise<unknown[]>

  constructor(fixture: string, data: object) {
    this.#worker = new Worker(new URL(fixture, import.meta.url), { workerData: data })
    this.#exited = once(this.#worker, 'exit')
    this.#exited.catch(() => {}) // seen by whoever waits for a message
  }

  /** The next message. */
  async message(): Promise<unknown> {
    const [message] = (await once(this.#worker, 'message')) as [unknown]
    return message
  }

  async exit(): Promise<void> {
    await this.#exited
  }

  /** End it wherever it is. */
  async kill(): Promise<void> {
    await this.#worker.terminate()
  }
}
