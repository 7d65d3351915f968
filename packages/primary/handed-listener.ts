import { once } from 'node:events'
import { closeSync } from 'node:fs'
import type { Server } from 'node:net'
import type { HostPort } from '#shared/dc'
import { createListeningServer, keepAccepting } from '#shared/listening-server'
import { cannotStart } from './bind-error.ts'
import { descriptorOf } from './descriptor-of.ts'
import type { Listener, ListenerEvents } from './listener.ts'

/** A listening socket that the process before us still accepts on. It is not touched before we serve. */
export class HandedListener implements Listener {
  readonly address: HostPort
  readonly #backlog: number
  /** Null once the server has it, or it has been closed. */
  #handed: number | null
  readonly #server: Server

  constructor({ fd, address }: { fd: number; address: HostPort }, backlog: number) {
    this.address = address
    this.#backlog = backlog
    this.#handed = fd
    this.#server = createListeningServer()
  }

  get fd(): number | null {
    return descriptorOf(this.#server)
  }

  async listen(events: ListenerEvents): Promise<void> {
    if (this.#handed === null) return
    this.#server.on('connection', events.onSocket)
    this.#server.listen({ fd: this.#handed }, this.#backlog)
    this.#handed = null
    try {
      await once(this.#server, 'listening')
    } catch (cause) {
      throw cannotStart(this.address, cause)
    }
    keepAccepting(this.#server, this.address, events)
  }

  close(): void {
    if (this.#handed !== null) closeSync(this.#handed)
    this.#handed = null
    this.#server.close()
  }
}
