import type { ProxyConfig } from '#shared/config'
import { LiveResolver } from '#shared/dial/live-resolver'
import { createLogger } from '#shared/logger'
import { countDnsIn } from '#shared/state/dns-counter'
import { UNLEARNT_PROFILE } from '#shared/traffic-profile'
import { Ganger } from './doppelganger/ganger.ts'
import { HandOffs } from './hand-off.ts'
import { httpGet } from './http-client.ts'
import { createIpLists } from './ip-lists/create-ip-lists.ts'
import type { ProxyOptions } from './proxy-options.ts'
import type { Current, ProxyParts } from './proxy-parts.ts'
import { pushValues } from './reload-parts.ts'
import { SharedState } from './shared-state.ts'
import { TotalsKeeper } from './state-file/totals-keeper.ts'
import { listFamilies } from './stats/list-families.ts'
import { Outputs } from './stats/outputs.ts'
import { takeAddresses } from './take-addresses.ts'
import { TaskPool } from './task-pool.ts'
import { AutoUpdate } from './telegram/auto-update.ts'
import type { HttpDial } from './telegram/http-dial.ts'
import { Routing } from './telegram/routing.ts'
import { inheritCover } from './upgrade/replay-cover.ts'
import { TakeOver } from './upgrade/take-over.ts'
import { WorkerPool } from './worker-pool.ts'

/**
 * Take the addresses, make every part and tell each what it needs of the others. Nothing is started.
 * @throws OperatorError when an address cannot be had
 */
export function createParts(config: ProxyConfig, options: ProxyOptions): ProxyParts {
  const startedAtMs = Date.now()
  const current: Current = {
    config,
    level: options.log.level,
    profile: UNLEARNT_PROFILE,
    isAccepting: false,
  }
  const log = createLogger(options.log, 'proxy')
  const gangerLog = createLogger(options.log, 'proxy.doppelganger')
  const { inherited = [], predecessor = null } = options
  const replayCover = inheritCover(config, predecessor?.inheritance.replay ?? null, startedAtMs)
  const { listeners, threadsAccept } = takeAddresses(config, { inherited, predecessor, log })
  const state = new SharedState(config, log)
  const resolver = new LiveResolver(config.network.dns, countDnsIn(state.counters))
  const routing = new Routing(config)
  const tasks = new TaskPool()
  const ipLists = createIpLists({
    config,
    ...(options.cacheDirectories === undefined ? {} : { cacheDirectories: options.cacheDirectories }),
    tasks,
    get: (url, request) => httpGet(url, { ...request, dial: dialUpstream() }),
    timeoutMs: () => current.config.network.timeout.httpMs,
    counters: state.counters,
    onChange: (values) => pool.setIpFilter(values),
    log,
  })
  const pool = new WorkerPool({
    boot: (thread) => ({
      ...state.boot(thread),
      ...routing.boot(),
      ipFilter: ipLists.values,
      config: current.config,
      profile: current.profile,
      listening: listeners.addresses,
      accept: threadsAccept
        ? {
            addresses: listeners.addresses,
            backlog: config.listenBacklog,
            fromStart: current.isAccepting,
          }
        : null,
      startedAtMs: replayCover.sinceMs,
      log: { ...options.log, level: current.level },
    }),
    threads: config.performance.workers,
    ...(options.workerEntry === undefined ? {} : { entry: options.workerEntry }),
    ...(options.hangLimitMs === undefined ? {} : { hangLimitMs: options.hangLimitMs }),
    ...(options.maxHeapMb === undefined ? {} : { maxHeapMb: options.maxHeapMb }),
    sums: state.sums,
    log,
    onUserSeen: (seen) => handOffs.remember(seen),
    onDeath: (thread) => state.forgetThread(thread),
  })
  const handOffs = new HandOffs(pool, state.counters, {
    config,
    ipFilter: ipLists.filter,
    handshakes: state.handshakes,
    log,
  })
  const outputs = new Outputs({
    config,
    allowedHosts: () => current.config.apiAllowedHosts,
    families: listFamilies({
      ...state.sources,
      dcAddresses: () => routing.dcAddresses,
      upstreams: () => routing.listUpstreams(),
      perUserLimit: config.stats.perUserLimit,
      workers: () => pool.workers,
    }),
    histograms: state.histogramSums,
    snapshot: () => state.snapshot(startedAtMs),
    ready: () => current.isAccepting && pool.isServing,
    upstreams: () => routing.listUpstreams(),
    log,
  })
  const totals = new TotalsKeeper({
    path: config.stateFile,
    log,
    read: () => state.listTotals(),
    add: (kept) => state.addTotals(kept),
    onFailure: () => state.countStateSaveFailure(),
  })
  const takeOver =
    predecessor === null
      ? null
      : new TakeOver(predecessor, {
          exchange: state.exchangeReplay((message) => predecessor.send(message)),
          onReleased: async () => {
            await totals.adopt()
            await outputs.takeOver()
          },
          log,
        })
  const ganger = new Ganger({
    config,
    listening: listeners.addresses,
    tasks,
    resolver,
    upstreams: () => routing.taskUpstreams(),
    log: gangerLog,
    onProfile: (profile) => {
      current.profile = profile
      pool.setProfile(profile)
    },
  })
  const autoUpdate = new AutoUpdate({
    log,
    timeoutMs: () => current.config.network.timeout.httpMs,
    dial: () => dialUpstream(),
    onUpdate: (published) => {
      if (routing.publish(published)) pushAddresses()
    },
    onFailure: () => state.countDcUpdateFailure(),
    ...(options.publishedUrls === undefined ? {} : { urls: options.publishedUrls }),
  })
  return {
    current,
    log,
    gangerLog,
    listeners,
    threadsAccept,
    state,
    resolver,
    routing,
    tasks,
    ipLists,
    pool,
    handOffs,
    outputs,
    totals,
    replayCover,
    takeOver,
    ganger,
    autoUpdate,
  }

  /** How what the program fetches for itself leaves this host. */
  function dialUpstream(): HttpDial {
    const { proxies, timeout } = current.config.network
    // The connect of a request that may take longer: a proxy that hangs leaves time for the next one, and is counted.
    return routing.httpDial(proxies, timeout.tcpMs, resolver.lookup)
  }

  function pushAddresses(): void {
    pushValues({ current, pool, routing, state }).catch((error: unknown) =>
      log.error({ error }, 'a worker thread did not take the addresses of data centres'),
    )
  }
}
