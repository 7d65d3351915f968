import { Heard, whenAborted } from './heard.ts'
import { type HandedSocket, type Inheritance, readMessage, type UpgradeMessage } from './messages.ts'

type Channel = Pick<NodeJS.Process, 'send' | 'on' | 'connected'>

/** The process whose place we take, seen from us. */
export class Predecessor {
  readonly inheritance: Inheritance
  /** Resolves when it has ended. */
  readonly gone: Promise<void>
  readonly #channel: Channel
  readonly #heard: Heard
  #onHellos: (entries: Uint8Array) => void

  constructor(inheritance: Inheritance, channel: Channel) {
    this.inheritance = inheritance
    this.#channel = channel
    this.#heard = new Heard()
    this.#onHellos = () => {}
    this.gone = new Promise((resolve) => {
      channel.on('disconnect', () => resolve())
      if (!channel.connected) resolve()
    })
    channel.on('message', (message: unknown) => {
      const read = readMessage(message)
      if (read?.type === 'hellos') this.#onHellos(read.entries)
      else if (read !== null) this.#heard.add(read.type)
    })
  }

  get sockets(): readonly HandedSocket[] {
    return this.inheritance.sockets
  }

  set onHellos(take: (entries: Uint8Array) => void) {
    this.#onHellos = take
  }

  /**
   * Say this and wait for the answer. Resolves as well when the other process is gone: what it held is free then.
   * @throws Error when there is no answer within `limitMs`
   */
  async ask(message: UpgradeMessage, answer: UpgradeMessage['type'], limitMs: number): Promise<void> {
    await this.send(message)
    const limit = AbortSignal.timeout(limitMs)
    await Promise.race([this.#heard.when(answer), this.gone, whenAborted(limit)])
  }

  /** Resolves when it has been written into the channel, or there is none any more. */
  send(message: UpgradeMessage): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#channel.connected || this.#channel.send === undefined) resolve()
      else this.#channel.send(message, undefined, undefined, () => resolve())
    })
  }
}
