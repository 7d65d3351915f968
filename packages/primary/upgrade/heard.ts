import type { UpgradeMessage } from './messages.ts'

/** What the other process has said. Each thing is said once; whoever asks late learns of it all the same. */
export class Heard {
  readonly #said: Map<UpgradeMessage['type'], PromiseWithResolvers<void>>

  constructor() {
    this.#said = new Map()
  }

  add(type: UpgradeMessage['type']): void {
    this.#latch(type).resolve()
  }

  when(type: UpgradeMessage['type']): Promise<void> {
    return this.#latch(type).promise
  }

  #latch(type: UpgradeMessage['type']): PromiseWithResolvers<void> {
    const latch = this.#said.get(type) ?? Promise.withResolvers<void>()
    this.#said.set(type, latch)
    return latch
  }
}

/** Rejects when the signal fires; never resolves. */
export function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = (): void =>
      reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)))
    if (signal.aborted) fail()
    else signal.addEventListener('abort', fail, { once: true })
  })
}
