import type { ProxyConfig } from '#shared/config'
import { DialError, type HandshakeError } from '#shared/errors'
import { slot } from '#shared/state/layout'
import type { TrafficProfile } from '#shared/traffic-profile'
import { admitUser } from './admit-user.ts'
import { countRelayEnd } from './count-relay-end.ts'
import type { SiteVisit } from './domain-fronting/site-visit.ts'
import { endFailed } from './end-failed.ts'
import { answerHello } from './fake-tls/answer-hello.ts'
import type { UserKey } from './fake-tls/host-keys.ts'
import { findUser } from './find-user.ts'
import { HandshakeInput } from './handshake-input.ts'
import type { HandshakePlace } from './handshake-place.ts'
import { Holdings } from './holdings.ts'
import { learnClient } from './learn-client.ts'
import type { ClientSession } from './obfuscated2/handshake.ts'
import { openSession } from './open-session.ts'
import { familyOf, type Peer } from './peer.ts'
import type { Tally } from './relay/convey.ts'
import { Relay, type RelayEnd, type RelayEvents } from './relay/relay.ts'
import type { ByteSocket } from './socket/byte-socket.ts'
import { StreamLog } from './stream-log.ts'
import { dialSession } from './telegram/dial-session.ts'
import { relaySession, type DialledSession } from './telegram/relay-session.ts'
import type { Thread } from './thread.ts'

/** After one side's FIN the other gets this much silence, not the whole idle limit. */
const HALF_CLOSED_IDLE_MS = 30_000
const NOTHING = Buffer.alloc(0)
/** Why dials end with their connection; one for all, since without a reason every abort makes an error with a stack. */
const GONE = new DialError('aborted', 'the client is gone')

const CLIENTS = {
  ipv4: slot('client_connections', { ip_family: 'ipv4' }),
  ipv6: slot('client_connections', { ip_family: 'ipv6' }),
} as const

export type Stage =
  | 'proxy-header'
  | 'hello'
  | 'frame'
  | 'dialing-dc'
  | 'dialing-front'
  | 'relaying'
  | 'fronting'
  | 'closed'

/** One client, from hand-off to close. `run` is the list of its stages; `close` is the only way out. */
export class Connection implements RelayEvents {
  #peer: Peer
  readonly client: ByteSocket
  readonly thread: Thread
  /** This one and the next are those it began with, whatever is reloaded or learnt meanwhile. */
  readonly config: ProxyConfig
  readonly profile: TrafficProfile
  readonly tally: Tally
  readonly log: StreamLog
  /** Where the fronting site is dialled for this peer; null while nobody needs to. */
  visit: SiteVisit | null
  /** What the stages take until close. */
  readonly holdings: Holdings
  /** Left when the handshake is finished, or will never be. */
  readonly handshakePlace: HandshakePlace
  /** null once the relay has what came in. */
  #input: HandshakeInput | null
  readonly #startedMs: number
  #stage: Stage
  #idleMs: number
  #far: ByteSocket | null
  /** There while something is dialled. */
  #dial: AbortController | null
  #userKey: UserKey | null
  #dc: number | null

  constructor(client: ByteSocket, peer: Peer, place: HandshakePlace, thread: Thread) {
    this.#peer = peer
    this.client = client
    this.thread = thread
    this.config = thread.config
    this.profile = thread.profile
    this.#startedMs = performance.now()
    this.tally = { up: 0, down: 0, lastActiveMs: thread.clock.monotonicMs }
    this.visit = null
    this.holdings = new Holdings(thread.counters)
    this.handshakePlace = place
    this.#input = null
    this.log = new StreamLog(thread.log, peer.address)
    this.#stage = 'hello'
    this.#idleMs = this.config.network.timeout.idleMs
    this.#far = null
    this.#dial = null
    this.#userKey = null
    this.#dc = null
  }

  /** The stages in order. Rejects only for a bug of ours. */
  async run(): Promise<void> {
    const input = new HandshakeInput(this.client, (how) => this.#left(how))
    this.#input = input
    this.holdings.raise(CLIENTS[this.family])
    try {
      if (this.#peer.isProxied) await learnClient(this, input)
      this.log.debug('Stream has been started')
      const hello = await input.readHello()
      const userKey = await findUser(this, hello)
      admitUser(this, userKey)
      this.endVisit()
      answerHello(this.client, hello, userKey, this.profile, this.thread.publicValues)
      const session = await openSession(this, input, userKey)
      const dialled = await this.#dialDc(session)
      relaySession(this, dialled, input)
      this.#input = null
    } catch (error) {
      await endFailed(this, error)
    }
  }

  get peer(): Peer {
    return this.#peer
  }

  get family(): 'ipv4' | 'ipv6' {
    return familyOf(this.#peer)
  }

  /** Somebody else than the other end of the socket: who a PROXY header said. */
  setPeer(peer: Peer): void {
    this.holdings.lower(CLIENTS[this.family])
    this.#peer = peer
    this.holdings.raise(CLIENTS[this.family])
    this.log.setClientIp(peer.address)
  }

  get stage(): Stage {
    return this.#stage
  }

  /** Who authenticated, or null before. */
  get userKey(): UserKey | null {
    return this.#userKey
  }

  /** From now on it counts as this user's. */
  authenticate(userKey: UserKey): void {
    this.#userKey = userKey
  }

  /** Since the client was taken over, milliseconds. */
  get ageMs(): number {
    return performance.now() - this.#startedMs
  }

  /** The time for the handshake is up. */
  get isOverdue(): boolean {
    return this.ageMs >= this.config.network.timeout.handshakeMs
  }

  /** The hello is waited for, and not complete. */
  get isHelloDue(): boolean {
    return this.#stage === 'hello' && this.#input?.isWaiting === true
  }

  /** Nothing was relayed for as long as that may be. */
  get isIdle(): boolean {
    return this.thread.clock.monotonicMs - this.tally.lastActiveMs >= this.#idleMs
  }

  /** For a dial that begins now: fires when the client has left or the connection is closed. */
  dialSignal(): AbortSignal {
    this.#dial = new AbortController()
    if (this.client.socket.destroyed) this.#dial.abort(GONE)
    return this.#dial.signal
  }

  /** The hello will not be waited for. */
  giveUpHello(error: HandshakeError): void {
    if (this.#stage === 'hello') this.#input?.failHello(error)
  }

  /** Whoever waits for the client's handshake is told that its time is up. */
  expire(): void {
    this.#input?.expire()
  }

  /** Nobody needs the site for this peer. */
  endVisit(): void {
    if (this.visit === null) return
    this.#dial?.abort(GONE)
    this.visit.end()
    this.visit = null
  }

  /** Every byte received before the hello was answered, for the fronting site; forgotten afterwards. */
  takeReceived(): Buffer {
    const { received } = this
    this.#input = null
    return received
  }

  /** The same, while more may come. */
  get received(): Buffer {
    return this.#input?.received ?? NOTHING
  }

  /**
   * Go on to the next stage.
   * @throws DialError `aborted` when the connection was closed meanwhile, so that nothing is taken behind its back
   */
  enter(stage: Exclude<Stage, 'closed'>): void {
    if (this.#stage === 'closed') throw new DialError('aborted', 'the connection was closed meanwhile')
    this.#stage = stage
  }

  /** Bind the client to what was dialled for it; the caller starts the relay. */
  bind(stage: 'relaying' | 'fronting', far: ByteSocket): Relay {
    if (this.#stage === 'closed') far.destroy()
    this.enter(stage)
    this.#far = far
    this.#dial = null
    this.tally.lastActiveMs = this.thread.clock.monotonicMs
    return new Relay(this.client, far, this)
  }

  // What its relay tells

  /** Only the site's resets are the client's to see. */
  get mirrorsResets(): boolean {
    return this.#stage === 'fronting'
  }

  onHalfClosed(): void {
    this.tally.lastActiveMs = this.thread.clock.monotonicMs // the limit runs from here
    this.limitIdle(HALF_CLOSED_IDLE_MS)
  }

  onEnd(end: RelayEnd): void {
    this.close(end)
  }

  limitIdle(idleMs: number): void {
    this.#idleMs = Math.min(this.#idleMs, idleMs)
  }

  /** The only way out: sockets, ledger, counters, one log line. Calling it twice is fine. */
  close(reason: string): void {
    if (this.#stage === 'closed') return
    const stage = this.#stage
    this.#stage = 'closed'
    this.#dial?.abort(GONE)
    if (stage === 'relaying' || stage === 'fronting') countRelayEnd(this, stage, reason)
    // With bytes on their way to a peer that does not take them there is nothing to wait for.
    if (this.client.unsentBytes > 0) this.client.destroy()
    else this.thread.dismiss(this.client)
    this.#far?.destroy()
    this.handshakePlace.leave()
    this.holdings.giveBackAll()
    this.thread.forget(this)
    if (this.log.isEnabled) this.#logEnd(stage, reason)
  }

  #logEnd(stage: Stage, reason: string): void {
    this.log.debug('Stream has been finished', {
      reason,
      stage,
      ...(this.#dc === null ? {} : { dc: this.#dc }),
      bytes_up: this.tally.up,
      bytes_down: this.tally.down,
      duration_ms: Math.round(this.ageMs),
    })
  }

  /** A client that leaves takes its dial along; one that only ended may still be answered by the fronting site. */
  #left(how: 'ended' | 'gone'): void {
    if (how === 'gone' || this.#stage === 'dialing-dc') this.#dial?.abort(GONE)
  }

  async #dialDc(session: ClientSession): Promise<DialledSession> {
    this.enter('dialing-dc')
    this.#dc = session.dc
    const signal = this.dialSignal()
    if (this.client.hasEnded) this.#dial?.abort(GONE) // left with its last byte: not worth a dial
    const dialled = await dialSession(session, this.thread, signal)
    this.#dc = dialled.dc
    return dialled
  }
}
