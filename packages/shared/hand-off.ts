import type { Socket } from 'node:net'
import type { SocketHandle } from './socket-handle.ts'

/** What crosses from the primary to a worker: a socket, and what the primary alone knows of it. */
export interface HandOff {
  /**
   * Of a socket that was accepted and paused: nothing has been read from it. Its address can be gone by now (client
   * reset): it travels beside. The socket itself, where this Node moves no handles.
   */
  readonly handle: SocketHandle | Socket
  readonly remoteAddress: string
  readonly remotePort: number
  /** Slots of the few users who came last from this network (decision W17). */
  readonly userHints: readonly number[]
  /** An IP list refuses the peer and its action is "front": it sees the fronting site, whatever it knows. */
  readonly mustFront: boolean
  /** It is a balancer's, and the IP lists are still to be asked about the client that its PROXY header names. */
  readonly isProxied: boolean
  /** Where its unfinished handshake is counted for its source (state/handshakes.ts). */
  readonly handshakeSource: number
  /** When it was accepted, on the clock of `sharedNowMs`. */
  readonly acceptedAtMs: number
}

/** What a worker tells the primary over the same port: who came from which network, when the hints did not say so. */
export interface UserSeen {
  readonly remoteAddress: string
  readonly userSlot: number
}

/**
 * Milliseconds on a clock that never goes back and is the same in all threads of the process, good to microseconds: Unix
 * time if nobody had set the clock since the process began.
 */
export function sharedNowMs(): number {
  return performance.timeOrigin + performance.now()
}
