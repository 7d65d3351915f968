import type { Socket } from 'node:net'
import { inspect } from 'node:util'
import type { MessagePort } from 'node:worker_threads'
import type { Logger } from 'pino'
import type { ProxyConfig } from '#shared/config'
import type { DcAddress, HostPort } from '#shared/dc'
import { Farewells } from '#shared/farewells'
import { IpFilter, type IpFilterValues } from '#shared/ip-filter'
import { createLogger } from '#shared/logger'
import { countDnsIn } from '#shared/state/dns-counter'
import { CounterRow, leavePlace, takePlace } from '#shared/state/counters'
import { Handshakes } from '#shared/state/handshakes'
import { HistogramRow } from '#shared/state/histogram'
import type { SocketHandle } from '#shared/socket-handle'
import { MAX_DC_ADDRESSES } from '#shared/state/layout'
import { ReplaySet } from '#shared/state/replay-set'
import { UserRows } from '#shared/state/user-rows'
import type { TrafficProfile } from '#shared/traffic-profile'
import type { ReloadValues, WorkerBoot, WorkerControl } from '#shared/worker-control'
import { Arrivals } from './arrivals.ts'
import { Clock } from './clock.ts'
import { Connection } from './connection.ts'
import { Connections } from './connections.ts'
import { Dialers } from './dialers.ts'
import { PaceTimer } from './doppelganger/pace-timer.ts'
import { HelloCheck } from './fake-tls/hello-check.ts'
import { PublicValues } from './fake-tls/public-values.ts'
import { SearchQueue } from './fake-tls/search-queue.ts'
import { HandshakePlace } from './handshake-place.ts'
import { Housekeeping } from './housekeeping.ts'
import type { KeySearch } from './key-search/key-search.ts'
import type { Ciphers } from './obfuscated2/ctr-stream.ts'
import type { Peer } from './peer.ts'
import type { ByteSocket } from './socket/byte-socket.ts'
import { Sockets, type Abilities } from './socket/sockets.ts'
import { TrustedNetworks } from './trusted-networks.ts'
import { Warnings } from './warnings.ts'

/** What was found out about this Node and this machine before the thread began. */
export interface ThreadAbilities extends Abilities {
  readonly ciphers: Ciphers
  /** For the key that signed a hello. */
  readonly search: KeySearch
}

/** What one worker thread holds, and what its connections share. */
export class Thread implements WorkerControl {
  readonly log: Logger
  readonly warnings: Warnings
  readonly clock: Clock
  readonly counters: CounterRow
  readonly histograms: HistogramRow
  readonly users: UserRows
  readonly sockets: Sockets
  readonly ciphers: Ciphers
  readonly hellos: HelloCheck
  /** For addresses that are known here only; those of sockets were asked for before the hand-off. */
  readonly ipFilter: IpFilter
  readonly dialers: Dialers
  readonly arrivals: Arrivals
  readonly handshakes: Handshakes
  readonly paceTimer: PaceTimer
  readonly publicValues: PublicValues
  readonly #boot: WorkerBoot
  readonly #connections: Connections
  readonly #farewells: Farewells
  readonly #housekeeping: Housekeeping
  #dcAddressIndex: ReadonlyMap<string, number>
  readonly #onDrained: () => void
  #config: ProxyConfig
  #trustedProxies: TrustedNetworks
  #profile: TrafficProfile
  /** Hand-offs that must have come in before the thread may finish, or null while it serves. */
  #drainAfter: number | null

  /**
   * @param port sockets come in, `UserSeen` goes out
   * @param able what this Node and this kernel can do
   * @param onDrained called once when the thread was told to drain and its last connection has ended
   */
  constructor(boot: WorkerBoot, port: MessagePort, able: ThreadAbilities, onDrained: () => void) {
    const { config } = boot
    this.log = createLogger(boot.log, 'proxy')
    this.clock = new Clock()
    this.warnings = new Warnings(this.log, this.clock)
    this.counters = new CounterRow(boot.counters, boot.thread)
    this.histograms = new HistogramRow(boot.histograms, boot.thread)
    this.users = new UserRows(boot.ledger, boot.thread, (user) =>
      // Behind the chunk that is relayed at the moment, and before the next one of anybody.
      queueMicrotask(() => this.#connections.closeUser(user, 'quota')),
    )
    this.sockets = new Sockets(able, config.network)
    this.ciphers = able.ciphers
    this.hellos = new HelloCheck({
      users: boot.users,
      toleranceMs: config.tolerateTimeSkewnessMs,
      replay: boot.replay === null ? null : new ReplaySet(boot.replay, boot.thread),
      startedAtMs: boot.startedAtMs,
      clock: this.clock,
      searches: new SearchQueue(),
      search: able.search,
    })
    this.ipFilter = new IpFilter(boot.ipFilter)
    this.dialers = new Dialers(config, boot.routing, {
      clock: this.clock,
      listening: boot.listening,
      upstreams: boot.upstreams,
      health: boot.health,
      dnsCounter: countDnsIn(this.counters),
      connect: (address, signal) => this.sockets.connect(address, signal),
    })
    this.arrivals = new Arrivals(this, boot, port)
    this.handshakes = new Handshakes(boot.handshakes)
    this.paceTimer = new PaceTimer()
    this.publicValues = new PublicValues()
    this.#boot = boot
    this.#connections = new Connections()
    this.#dcAddressIndex = indexAddresses(boot.routing.dcAddresses)
    this.#farewells = new Farewells()
    this.#housekeeping = new Housekeeping(this, this.#connections, this.#farewells)
    this.#onDrained = onDrained
    this.#config = config
    this.#trustedProxies = new TrustedNetworks(config.proxyProtocolTrusted)
    this.#profile = boot.profile
    this.#drainAfter = null
  }

  /** Begin to take clients. */
  async start(): Promise<void> {
    this.#housekeeping.start()
    await this.arrivals.start()
  }

  stop(): void {
    this.#housekeeping.stop()
    this.arrivals.close()
    this.dialers.close()
    this.ciphers.closeAll()
    this.counters.publish()
    this.users.publish()
    this.#farewells.end()
    this.arrivals.stop()
  }

  // WorkerControl

  ready(): true {
    return true
  }

  listen(): Promise<void> {
    return this.arrivals.listen()
  }

  drain(handedOver: number): void {
    this.arrivals.close()
    this.#drainAfter = handedOver
    this.#finishIfDrained()
  }

  closeAll(): void {
    this.arrivals.rounds.flush()
    this.#connections.closeAll()
  }

  reload({ config, users, routing, logLevel }: ReloadValues): void {
    this.#config = config
    this.dialers.setConfig(config, routing)
    this.#dcAddressIndex = indexAddresses(routing.dcAddresses)
    this.#trustedProxies = new TrustedNetworks(config.proxyProtocolTrusted)
    this.sockets.setConfig(config.network)
    this.log.level = logLevel
    this.hellos.setUsers(users)
    this.#connections.closeRemoved(users)
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

  /** Let a client go with a FIN, whatever it still says. */
  dismiss(client: ByteSocket): void {
    client.dismiss(this.#farewells, this.clock.monotonicMs)
  }

  /** A connection has ended. */
  forget(connection: Connection): void {
    if (!this.#connections.remove(connection)) return
    this.arrivals.leave()
    this.#finishIfDrained()
  }

  /** A FIN and nothing else, whatever the client has sent or will send. */
  refuse(socket: Socket): void {
    this.#farewells.dismiss(socket, this.clock.monotonicMs)
  }

  /**
   * The life of a client that was let in begins.
   * @param handshakeSource where its handshake is counted
   */
  serve(socket: SocketHandle | Socket, peer: Peer, handshakeSource: number): void {
    const place = new HandshakePlace(this.handshakes, this.#boot.thread, handshakeSource, this.counters)
    const connection = new Connection(this.sockets.adopt(socket), peer, place, this)
    this.#connections.add(connection)
    connection.run().catch((error: unknown) => {
      connection.close('bug')
      this.log.error(
        { error: String(error), cause: describeCause(error) },
        'a connection failed: please report this',
      )
    })
  }

  #finishIfDrained(): void {
    if (this.#drainAfter === null || this.#connections.size > 0 || this.arrivals.received < this.#drainAfter)
      return
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
