import type { Socket } from 'node:net'
import type { MessagePort } from 'node:worker_threads'
import { sharedNowMs, type HandOff, type UserSeen } from '#shared/hand-off'
import { plainAddress } from '#shared/network'
import { leavePlace, takePlace } from '#shared/state/counters'
import { histogram } from '#shared/state/histogram'
import { countHandshakeLimited } from '#shared/state/handshake-counter'
import { slot } from '#shared/state/layout'
import { isNews, UserHints } from '#shared/user-hints'
import type { WorkerBoot } from '#shared/worker-control'
import { OwnListeners } from './own-listeners.ts'
import type { Peer } from './peer.ts'
import { Rounds } from './rounds.ts'
import type { Thread } from './thread.ts'

const ACCEPT_ERRORS = slot('accept_errors')
const CONCURRENCY_LIMITED = slot('concurrency_limited')
const HAND_OFF_SECONDS = histogram('hand_off_seconds')

/** How clients come to a thread: handed over by the primary, or accepted by the thread itself (`reuse-port`). */
export class Arrivals {
  /** For addresses that the primary does not know. */
  readonly hints: UserHints
  /** For what comes in bursts, so that it delays nobody who is served. */
  readonly rounds: Rounds
  readonly #thread: Thread
  readonly #boot: WorkerBoot
  readonly #port: MessagePort
  /** There when the thread accepts by itself. */
  #listeners: OwnListeners | null
  #received: number

  /** @param port sockets come in, `UserSeen` goes out */
  constructor(thread: Thread, boot: WorkerBoot, port: MessagePort) {
    this.hints = new UserHints()
    this.rounds = new Rounds()
    this.#thread = thread
    this.#boot = boot
    this.#port = port
    this.#listeners = null
    this.#received = 0
  }

  /** Hand-offs that have come in. */
  get received(): number {
    return this.#received
  }

  /** Begin to take hand-offs. */
  async start(): Promise<void> {
    this.#port.on('message', (handOff: HandOff) => this.#takeOver(handOff))
    if (this.#boot.accept?.fromStart === true) await this.listen()
  }

  /** Accept, where this is the threads' own work. Calling it twice is fine. */
  async listen(): Promise<void> {
    const { accept } = this.#boot
    if (accept === null || this.#listeners !== null) return
    const { log, counters } = this.#thread
    this.#listeners = new OwnListeners({
      ...accept,
      log,
      onAcceptError: () => counters.add(ACCEPT_ERRORS, 1),
      onSocket: (socket) => this.#accept(socket),
    })
    await this.#listeners.listening
  }

  /** Accept no more; hand-offs that are on their way are still taken. */
  close(): void {
    this.#listeners?.close()
  }

  /** Take nothing any more. */
  stop(): void {
    this.close()
    this.#port.close()
  }

  /** A client that came here has gone. */
  leave(): void {
    const { accept, counters, thread } = this.#boot
    if (accept === null) this.#thread.counters.addClosed()
    else leavePlace(counters, 'accepted', thread)
  }

  /** Remember who came from this network, unless the hints said so (decision W17). */
  reportUser(peer: Peer, userSlot: number): void {
    if (!isNews(peer.userHints, userSlot)) return
    if (peer.hintedBy === 'thread') return this.hints.remember(peer.address, userSlot)
    const seen: UserSeen = { remoteAddress: peer.address, userSlot }
    this.#port.postMessage(seen)
  }

  /** A client came to the thread itself: the limit over all of them holds here as in the primary. */
  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy() // reset before we could look at it
      return
    }
    const thread = this.#thread
    const { counters, log } = thread
    const { proxyProtocolListener: isProxied, concurrency, defense } = thread.config
    const address = plainAddress(remoteAddress)
    // Behind a balancer it is asked about the client, later.
    const refusal = isProxied ? null : thread.ipFilter.refuse(address, counters, log)
    if (refusal === 'close') return thread.refuse(socket)
    if (!takePlace(this.#boot.counters, 'accepted', this.#boot.thread, concurrency)) {
      counters.add(CONCURRENCY_LIMITED, 1)
      log.debug({ ip: address }, 'connection was concurrency limited')
      return thread.refuse(socket)
    }
    const source = isProxied ? null : address
    const admission = thread.handshakes.admit(this.#boot.thread, source, defense)
    if (!admission.ok) {
      leavePlace(this.#boot.counters, 'accepted', this.#boot.thread)
      countHandshakeLimited(counters, admission.limit)
      log.debug({ ip: address, limit: admission.limit }, 'connection was handshake limited')
      return thread.refuse(socket)
    }
    const peer: Peer = {
      address,
      port: remotePort,
      userHints: this.hints.find(address),
      hintedBy: 'thread',
      mustFront: refusal === 'front',
      isProxied,
    }
    this.rounds.run(() => thread.serve(socket, peer, admission.source))
  }

  #takeOver(handOff: HandOff): void {
    const { handle, acceptedAtMs, handshakeSource, remoteAddress, remotePort, ...known } = handOff
    this.#thread.histograms.observe(HAND_OFF_SECONDS, (sharedNowMs() - acceptedAtMs) / 1000)
    const peer: Peer = { ...known, address: remoteAddress, port: remotePort, hintedBy: 'primary' }
    this.rounds.run(() => {
      this.#received += 1
      this.#thread.serve(handle, peer, handshakeSource)
    })
  }
}
