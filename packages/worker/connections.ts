import type { UserEntry } from '#shared/worker-control'
import type { Connection } from './connection.ts'
import { checkDeadline, checkHello } from './deadlines.ts'

/** The connections of one thread, for those who look at all of them. */
export class Connections {
  readonly #open: Set<Connection>
  /** Those whose hello is not there, and some that have gone on or ended since the last look. */
  #greeting: Connection[]

  constructor() {
    this.#open = new Set()
    this.#greeting = []
  }

  get size(): number {
    return this.#open.size
  }

  add(connection: Connection): void {
    this.#open.add(connection)
    this.#greeting.push(connection)
  }

  /** False when it was not there any more. */
  remove(connection: Connection): boolean {
    return this.#open.delete(connection)
  }

  /** To be called a few times a second. */
  checkHellos(): void {
    this.#greeting = this.#greeting.filter(checkHello)
  }

  /**
   * To be called once a second.
   * @param isPressed places for unfinished handshakes run short
   */
  checkDeadlines(isPressed: boolean): void {
    for (const connection of this.#open) checkDeadline(connection, isPressed)
  }

  closeAll(): void {
    for (const connection of this.#open) connection.close('shutdown')
  }

  /** Those of one user. */
  closeUser(slot: number, reason: string): void {
    for (const connection of this.#open) if (connection.userKey?.user.slot === slot) connection.close(reason)
  }

  /** Those of users who are not among these any more. */
  closeRemoved(users: readonly UserEntry[]): void {
    const generations = new Map(users.map((user) => [user.slot, user.generation]))
    for (const connection of this.#open) {
      const user = connection.userKey?.user
      if (user !== undefined && generations.get(user.slot) !== user.generation)
        connection.close('user removed')
    }
  }
}
