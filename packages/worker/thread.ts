import type { Socket } from 'node:net'
import { inspect } from 'node:util'
import type { MessagePort } from 'node:worker_threads'
import type { Logger } from 'pino'
import type { ProxyConfig } from '#shared/config'
import type { DcAddress, HostPort } from '#shared/dc'
import { HANDSHAKE_CODES, type HandshakeCode } from '#shared/errors'
import { Farewells } from '#shared/farewells'
import { sharedNowMs, type HandOff, type UserSeen } from '#shared/hand-off'
import { IpFilter, type IpFilterValues } from '#shared/ip-filter'
import { createLogger } from '#shared/logger'
import { countDnsIn } from '#shared/state/dns-counter'
import { CounterRow, leavePlace, takePlace } from '#shared/state/counters'
import { histogram, HistogramRow } from '#shared/state/histogram'
import { countHandshakeLimited } from '#shared/state/handshake-counter'
import { Handshakes } from '#shared/state/handshakes'
import { plainAddress } from '#shared/network'
import { MAX_DC_ADDRESSES, slot } from '#shared/state/layout'
import { ReplaySet } from '#shared/state/replay-set'
import { UserRows } from '#shared/state/user-rows'
import { UserHints } from '#shared/user-hints'
import type { TrafficProfile } from '#shared/traffic-profile'
import type { ReloadValues, WorkerBoot, WorkerControl } from '#shared/worker-control'
import { Clock, TICK_MS } from './clock.ts'
import { Connection } from './connection.ts'
import { Dialers } from './dialers.ts'
import { PaceTimer } from './doppelganger/pace-timer.ts'
import { HelloCheck } from './fake-tls/hello-check.ts'
import { SearchQueue } from './fake-tls/search-queue.ts'
import { HandshakePlace } from './handshake-place.ts'
import { LoopMeter } from './loop-meter.ts'
import { OwnListeners } from './own-listeners.ts'
import type { Peer } from './peer.ts'
import { ByteSocket } from './socket/byte-socket.ts'
import { connectSocket } from './socket/connect-socket.ts'
import type { ReadBuffers } from './socket/read-buffers.ts'
import { Rounds } from './rounds.ts'
import { SocketOptions } from './socket/socket-options.ts'
import type { NativeSupport } from './socket/test-native-options.ts'
import { WriteSlots } from './socket/write-slots.ts'
import { TrustedNetworks } from './trusted-networks.ts'
import { Warnings } from './warnings.ts'

const ACCEPT_ERRORS = slot('accept_errors')
const CONCURRENCY_LIMITED = slot('concurrency_limited')

/** Deadlines are counted in seconds: every fourth tick looks at them. */
const TICKS_PER_SWEEP = 4

const HAND_OFF_SECONDS = histogram('hand_off_seconds')

type Outcome = 'ok' | HandshakeCode
// fromEntries forgets which keys it was given.
const HANDSHAKES = Object.fromEntries(
  ['ok', ...HANDSHAKE_CODES].map((outcome) => [outcome, slot('handshakes', { outcome })]),
) as Record<Outcome, number>

/** What was found out about this Node and this kernel before the thread began. */
export interface Abilities {
  /** Shared read buffers, or null where this Node cannot share them. */
  readonly buffers: ReadBuffers | null
  readonly native: NativeSupport
}

/** What one worker thread holds, and what its connections share. */
export class Thread implements WorkerControl {
  readonly log: Logger
  readonly warnings: Warnings
  readonly clock: Clock
  readonly counters: CounterRow
  readonly histograms: HistogramRow
  readonly users: UserRows
  readonly slots: WriteSlots
  readonly hellos: HelloCheck
  /** For addresses that are known here only; those of sockets were asked for before the hand-off. */
  readonly ipFilter: IpFilter
  readonly dialers: Dialers
  /** For addresses that the primary does not know. */
  readonly hints: UserHints
  readonly paceTimer: PaceTimer
  /** For what comes in bursts, so that it delays nobody who is served. */
  readonly rounds: Rounds
  readonly #boot: WorkerBoot
  readonly #port: MessagePort
  readonly #buffers: ReadBuffers | null
  readonly #native: NativeSupport
  readonly #loopMeter: LoopMeter
  readonly #handshakes: Handshakes
  readonly #connections: Set<Connection>
  /** Those whose hello is not there, and some that have gone on or ended since the last tick. */
  #greeting: Connection[]
  readonly #farewells: Farewells
  #dcAddressIndex: ReadonlyMap<string, number>
  readonly #onDrained: () => void
  #config: ProxyConfig
  #trustedProxies: TrustedNetworks
  #profile: TrafficProfile
  #socketOptions: SocketOptions
  #ticks: number
  #timer: NodeJS.Timeout | null
  /** There when the thread accepts by itself. */
  #listeners: OwnListeners | null
  #received: number
  /** Hand-offs that must have come in before the thread may finish, or null while it serves. */
  #drainAfter: number | null

  /**
   * @param port sockets come in, `UserSeen` goes out
   * @param able what this Node and this kernel can do
   * @param onDrained called once when the thread was told to drain and its last connection has ended
   */
  constructor(boot: WorkerBoot, port: MessagePort, able: Abilities, onDrained: () => void) {
    const { config } = boot
    const { buffers, native } = able
    this.log = createLogger(boot.log, 'proxy')
    this.clock = new Clock()
    this.warnings = new Warnings(this.log, this.clock)
    this.counters = new CounterRow(boot.counters, boot.thread)
    this.#loopMeter = new LoopMeter(this.counters)
    this.histograms = new HistogramRow(boot.histograms, boot.thread)
    this.users = new UserRows(boot.ledger, boot.thread)
    this.slots = new WriteSlots()
    this.hellos = new HelloCheck({
      users: boot.users,
      toleranceMs: config.tolerateTimeSkewnessMs,
      replay: boot.replay === null ? null : new ReplaySet(boot.replay, boot.thread),
      startedAtMs: boot.startedAtMs,
      clock: this.clock,
      searches: new SearchQueue(),
    })
    this.ipFilter = new IpFilter(boot.ipFilter)
    this.dialers = new Dialers(config, boot.routing, {
      clock: this.clock,
      listening: boot.listening,
      upstreams: boot.upstreams,
      health: boot.health,
      dnsCounter: countDnsIn(this.counters),
      connect: (address, signal) => this.#connect(address, signal),
    })
    this.hints = new UserHints()
    this.paceTimer = new PaceTimer()
    this.rounds = new Rounds()
    this.#boot = boot
    this.#port = port
    this.#buffers = buffers
    this.#native = native
    this.#handshakes = new Handshakes(boot.handshakes)
    this.#socketOptions = new SocketOptions(config.network, native.native, native.works)
    this.#connections = new Set()
    this.#dcAddressIndex = indexAddresses(boot.routing.dcAddresses)
    this.#greeting = []
    this.#farewells = new Farewells()
    this.#onDrained = onDrained
    this.#config = config
    this.#trustedProxies = new TrustedNetworks(config.proxyProtocolTrusted)
    this.#profile = boot.profile
    this.#ticks = 0
    this.#timer = null
    this.#listeners = null
    this.#received = 0
    this.#drainAfter = null
  }

  /** Begin to take hand-offs. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#port.on('message', (handOff: HandOff) => this.#takeOver(handOff))
    if (this.#boot.accept?.fromStart === true) await this.listen()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#listeners?.close()
    this.dialers.close()
    this.#loopMeter.stop()
    this.counters.publish()
    this.users.publish()
    this.#farewells.end()
    this.#port.close()
  }

  // WorkerControl

  ready(): true {
    return true
  }

  async listen(): Promise<void> {
    const { accept } = this.#boot
    if (accept === null || this.#listeners !== null) return
    this.#listeners = new OwnListeners({
      ...accept,
      log: this.log,
      onAcceptError: () => this.counters.add(ACCEPT_ERRORS, 1),
      onSocket: (socket) => this.#accept(socket),
    })
    await this.#listeners.listening
  }

  drain(handedOver: number): void {
    this.#listeners?.close()
    this.#drainAfter = handedOver
    this.#finishIfDrained()
  }

  closeAll(): void {
    this.rounds.flush()
    for (const connection of this.#connections) connection.close('shutdown')
  }

  reload({ config, users, routing, logLevel }: ReloadValues): void {
    this.#config = config
    this.dialers.setConfig(config, routing)
    this.#dcAddressIndex = indexAddresses(routing.dcAddresses)
    this.#trustedProxies = new TrustedNetworks(config.proxyProtocolTrusted)
    this.#socketOptions = new SocketOptions(config.network, this.#native.native, this.#native.works)
    this.log.level = logLevel
    this.hellos.setUsers(users)
    const generations = new Map(users.map((user) => [user.slot, user.generation]))
    for (const connection of this.#connections) {
      const user = connection.userKey?.user
      if (user !== undefined && generations.get(user.slot) !== user.generation)
        connection.close('user removed')
    }
  }

  setIpFilter(values: IpFilterValues): void {
    this.ipFilter.set(values)
  }

  setProfile(profile: TrafficProfile): void {
    this.#profile = profile
  }

  // What connections ask of their thread

  /** A connection keeps the one it began with. */
  get config(): ProxyConfig {
    return this.#config
  }

  /** Whose PROXY headers are believed. */
  get trustedProxies(): TrustedNetworks {
    return this.#trustedProxies
  }

  /** What is known of the fronting site; a connection keeps what it began with. */
  get profile(): TrafficProfile {
    return this.#profile
  }

  countHandshake(outcome: Outcome): void {
    this.counters.add(HANDSHAKES[outcome], 1)
  }

  admitFronting(): boolean {
    const { counters, thread } = this.#boot
    return takePlace(counters, 'fronting', thread, this.#config.domainFronting.maxConnections)
  }

  leaveFronting(): void {
    leavePlace(this.#boot.counters, 'fronting', this.#boot.thread)
  }

  /** Position of a dialled address in the per-address counters; the last one is for those that have none. */
  dcAddressIndex(dc: number, address: HostPort): number {
    return this.#dcAddressIndex.get(`${Math.abs(dc)} ${address.host}`) ?? MAX_DC_ADDRESSES - 1
  }

  /** Remember who came from this network, unless the hint said so (decision W17). */
  reportUser(peer: Peer, userSlot: number): void {
    if (peer.userHint === userSlot) return
    if (peer.hintedBy === 'thread') return this.hints.remember(peer.address, userSlot)
    const seen: UserSeen = { remoteAddress: peer.address, userSlot }
    this.#port.postMessage(seen)
  }

  /** Let a client go with a FIN, whatever it still says. */
  dismiss(client: ByteSocket): void {
    client.dismiss(this.#farewells, this.clock.monotonicMs)
  }

  /** A connection has ended. */
  forget(connection: Connection): void {
    if (!this.#connections.delete(connection)) return
    const { accept, counters, thread } = this.#boot
    if (accept === null) this.counters.addClosed()
    else leavePlace(counters, 'accepted', thread)
    this.#finishIfDrained()
  }

  /** A client came to the thread itself: the limit over all of them holds here as in the primary. */
  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy() // reset before we could look at it
      return
    }
    const { counters, thread } = this.#boot
    const address = plainAddress(remoteAddress)
    // Behind a balancer it is asked about the client, later.
    const { proxyProtocolListener: isProxied } = this.#config
    const refusal = isProxied ? null : this.ipFilter.refuse(address, this.counters, this.log)
    if (refusal === 'close') return this.#refuse(socket)
    if (!takePlace(counters, 'accepted', thread, this.#config.concurrency)) {
      this.counters.add(CONCURRENCY_LIMITED, 1)
      this.log.debug({ ip: address }, 'connection was concurrency limited')
      return this.#refuse(socket)
    }
    const source = isProxied ? null : address
    const admission = this.#handshakes.admit(thread, source, this.#config.defense)
    if (!admission.ok) {
      leavePlace(counters, 'accepted', thread)
      countHandshakeLimited(this.counters, admission.limit)
      this.log.debug({ ip: address, limit: admission.limit }, 'connection was handshake limited')
      return this.#refuse(socket)
    }
    const peer: Peer = {
      address,
      port: remotePort,
      userHint: this.hints.find(address),
      hintedBy: 'thread',
      mustFront: refusal === 'front',
      isProxied,
    }
    this.rounds.run(() => this.#serve(socket, peer, admission.source))
  }

  /** A FIN and nothing else, whatever the client has sent or will send. */
  #refuse(socket: Socket): void {
    this.#farewells.dismiss(socket, this.clock.monotonicMs)
  }

  #takeOver(handOff: HandOff): void {
    const { socket, acceptedAtMs, handshakeSource, remoteAddress, remotePort, ...known } = handOff
    this.histograms.observe(HAND_OFF_SECONDS, (sharedNowMs() - acceptedAtMs) / 1000)
    const peer: Peer = { ...known, address: remoteAddress, port: remotePort, hintedBy: 'primary' }
    this.rounds.run(() => {
      this.#received += 1
      this.#serve(socket, peer, handshakeSource)
    })
  }

  /** @param handshakeSource where its handshake is counted */
  #serve(socket: Socket, peer: Peer, handshakeSource: number): void {
    const client = ByteSocket.adopt(socket, this.slots, this.#buffers?.client ?? null)
    this.#socketOptions.applyToClient(client.socket)
    const place = new HandshakePlace(this.#handshakes, this.#boot.thread, handshakeSource, this.counters)
    const connection = new Connection(client, peer, place, this)
    this.#connections.add(connection)
    this.#greeting.push(connection)
    connection.run().catch((error: unknown) => {
      connection.close('bug')
      this.log.error(
        { error: String(error), cause: describeCause(error) },
        'a connection failed: please report this',
      )
    })
  }

  async #connect(address: HostPort, signal: AbortSignal): Promise<ByteSocket> {
    const far = await connectSocket(address, this.slots, this.#buffers?.dc ?? null, signal)
    this.#socketOptions.applyToServer(far.socket)
    return far
  }

  #tick(): void {
    this.clock.tick()
    this.#loopMeter.tick()
    this.counters.publish()
    this.users.publish()
    this.#farewells.sweep(this.clock.monotonicMs)
    this.#greeting = this.#greeting.filter((connection) => connection.checkHello())
    this.#ticks += 1
    if (this.#ticks % TICKS_PER_SWEEP !== 0) return
    const isPressed = this.#isPressed()
    for (const connection of this.#connections) connection.checkDeadline(isPressed)
  }

  /** Half of the places for unfinished handshakes are taken: who has had time enough makes room for those who come. */
  #isPressed(): boolean {
    const { maxHandshakes } = this.#config.defense
    return maxHandshakes > 0 && 2 * this.#handshakes.total > maxHandshakes
  }

  #finishIfDrained(): void {
    if (this.#drainAfter === null || this.#connections.size > 0 || this.#received < this.#drainAfter) return
    this.#drainAfter = null
    this.#onDrained()
  }
}

function indexAddresses(addresses: readonly DcAddress[]): ReadonlyMap<string, number> {
  return new Map(addresses.map(({ ip, dc }, index) => [`${dc} ${ip}`, index]))
}

function describeCause(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.cause === undefined) return undefined
  return error.cause instanceof Error ? (error.cause.stack ?? error.cause.message) : inspect(error.cause)
}
