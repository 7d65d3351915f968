import type { Connection } from './connection.ts'
import { frontEarly } from './domain-fronting/front.ts'
import { PROXY_HEADER_TIMEOUT_MS } from './learn-client.ts'

/** A hello comes with the first packet. Whoever is not done with it by then has lost one, or is no client of ours. */
const HELLO_PATIENCE_MS = 250
/** While places for handshakes run short. Slow phones finish theirs in 4 s; who waits longer keeps others from coming. */
const PRESSED_HANDSHAKE_MS = 4000

/** A hello that is late is shown to the site. False when there is none to wait for any more. */
export function checkHello(connection: Connection): boolean {
  if (connection.stage === 'proxy-header') return true // it is still to come
  if (connection.stage !== 'hello') return false
  if (connection.isHelloDue && connection.ageMs >= HELLO_PATIENCE_MS) frontEarly(connection)
  return true
}

/**
 * Whether the time of the current stage is up, and what follows from it.
 * @param isPressed places for unfinished handshakes run short
 */
export function checkDeadline(connection: Connection, isPressed: boolean): void {
  switch (connection.stage) {
    case 'proxy-header':
      if (connection.ageMs >= PROXY_HEADER_TIMEOUT_MS || isSlow(connection, isPressed)) connection.expire()
      return
    case 'hello':
    case 'frame':
      if (isSlow(connection, isPressed)) connection.expire()
      return
    case 'relaying':
    case 'fronting':
      if (connection.isIdle) connection.close('idle')
      return
    case 'dialing-dc':
    case 'dialing-front':
    case 'closed':
      return // a dial has limits of its own
  }
}

function isSlow({ isOverdue, ageMs }: Connection, isPressed: boolean): boolean {
  return isOverdue || (isPressed && ageMs >= PRESSED_HANDSHAKE_MS)
}
