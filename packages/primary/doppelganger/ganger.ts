import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { DnsConfig, ProxyConfig, UpstreamProxy } from '#shared/config'
import { formatHostPort, type HostPort } from '#shared/dc'
import type { SiteRoute } from '#shared/dial/dial-site'
import type { Resolver } from '#shared/dial/resolver'
import type { FrontProbeResult, VisitResult } from '#shared/front-probe'
import { LoopGuard } from '#shared/loop-guard'
import { showUrl } from '#shared/show-url'
import type { TrafficProfile } from '#shared/traffic-profile'
import { listFrontTargets, type FrontTarget } from '../doctor/front-targets.ts'
import type { TaskPool } from '../task-pool.ts'
import { Knowledge } from './knowledge.ts'
import { scoutPages } from './scout.ts'

/** Handshakes with each fronting host for each kind of hello: signatures differ in length by a byte or two. */
const PROBES_PER_HOST = 3
/** Hosts probed at once: thousands of users may have a host each. */
const PARALLEL_HOSTS = 4
/** A raid that failed is tried again after this long, then twice as long, up to `raid-each`. */
const FIRST_RETRY_MS = 60_000
/** Node's longest timer; a longer period is cut to 24 days. */
const MAX_SLEEP_MS = 2 ** 31 - 1
const HTTPS_PORT = 443

export interface GangerOptions {
  readonly config: ProxyConfig
  /** Where we listen: a site behind our own address is not asked, it would ask us. */
  readonly listening: readonly HostPort[]
  readonly tasks: Pick<TaskPool, 'run'>
  readonly resolver: Pick<Resolver, 'resolveWithin'>
  /** What all threads know of proxies. */
  readonly upstreams: () => Pick<SiteRoute, 'memory' | 'slots'>
  readonly log: Logger
  /** Something was learnt. */
  readonly onProfile: (profile: TrafficProfile) => void
}

/** What of a configuration a raid depends on. */
interface Plan {
  readonly targets: readonly FrontTarget[]
  readonly urls: readonly string[]
  readonly rounds: number
  readonly raidEachMs: number
  readonly timeoutMs: number
  readonly proxyProtocol: boolean
  readonly ownAddresses: readonly string[]
  /** `domain-fronting.via-proxies`; null: directly. */
  readonly via: { readonly proxies: readonly UpstreamProxy[]; readonly dns: DnsConfig } | null
}

/**
 * Learns how the fronting site sends: a raid at start and every `raid-each`, one after another. The connections are
 * made in the thread of the short tasks. What cannot be learnt is said once a raid, and stays as it was.
 */
export class Ganger {
  readonly #options: GangerOptions
  readonly #knowledge: Knowledge
  #plan: Plan
  #raids: AbortController
  #finished: Promise<void>

  constructor(options: GangerOptions) {
    this.#options = options
    this.#knowledge = new Knowledge()
    this.#plan = planRaids(options.config)
    this.#raids = new AbortController()
    this.#finished = Promise.resolve()
  }

  /** Begin the first raid. */
  start(): void {
    this.#raids = new AbortController()
    this.#finished = this.#run(this.#plan, this.#raids.signal, this.#finished)
  }

  /** Raids follow the new values at once, when they differ in what matters to them. */
  setConfig(config: ProxyConfig): void {
    const plan = planRaids(config)
    if (isDeepStrictEqual(plan, this.#plan)) return
    if (!isDeepStrictEqual(plan.urls, this.#plan.urls)) this.#knowledge.forgetPages()
    this.#knowledge.keepFlights(plan.targets.map(({ serverName }) => serverName))
    this.#plan = plan
    this.#options.onProfile(this.#knowledge.profile)
    this.#raids.abort()
    this.start()
  }

  /** No raid begins any more; what one has begun ends with the thread of the tasks. */
  stop(): void {
    this.#raids.abort()
  }

  /** @param before a raid that was told to end: two never overlap */
  async #run(plan: Plan, signal: AbortSignal, before: Promise<void>): Promise<void> {
    await before
    let retryMs = FIRST_RETRY_MS
    while (!signal.aborted && (plan.targets.length > 0 || plan.urls.length > 0)) {
      const isWhole = await this.#raid(plan, signal)
      const waitMs = isWhole ? plan.raidEachMs : Math.min(retryMs, plan.raidEachMs)
      retryMs = isWhole ? FIRST_RETRY_MS : retryMs * 2
      await sleep(Math.min(waitMs, MAX_SLEEP_MS), signal)
    }
  }

  /** @returns whether everything could be learnt */
  async #raid(plan: Plan, signal: AbortSignal): Promise<boolean> {
    const knowsHosts = await this.#probeHosts(plan, signal)
    const knowsPages = plan.urls.length === 0 || (await this.#visitPages(plan, signal))
    return knowsHosts && knowsPages
  }

  async #probeHosts(plan: Plan, signal: AbortSignal): Promise<boolean> {
    const queue = plan.targets.values()
    let failed = 0
    let learnt = 0
    const work = async (): Promise<void> => {
      for (const target of queue) {
        const result = await this.#probe(target, plan, signal)
        if (signal.aborted) return
        if (!result.ok) {
          failed += 1
          this.#warn(result.reason)
          continue
        }
        learnt += 1
        this.#knowledge.addFlights(target.serverName, result.flights)
        this.#options.log.debug({ host: target.serverName, ...result.flights }, 'updated server flight')
      }
    }
    await Promise.all(Array.from({ length: PARALLEL_HOSTS }, work))
    if (learnt > 0 && !signal.aborted) {
      this.#options.log.info({ hosts: learnt, failed }, 'updated server flights')
      this.#options.onProfile(this.#knowledge.profile)
    }
    return failed === 0
  }

  async #probe(target: FrontTarget, plan: Plan, signal: AbortSignal): Promise<FrontProbeResult> {
    const { serverName, host, port } = target
    const { timeoutMs, proxyProtocol } = plan
    const address = formatHostPort({ host, port })
    const where = host === serverName ? address : `${address} as ${serverName}`
    return this.#attempt<FrontProbeResult>(where, signal, async () => {
      const addresses = await this.#resolve(host, port, timeoutMs, signal)
      const guard = new LoopGuard(this.#options.listening, plan.ownAddresses)
      if (addresses.some((address) => guard.isOurs(address, performance.now())))
        return { ok: false, reason: `${where} is this proxy itself` }
      const route = this.#route(plan)
      const task = { serverName, addresses, route, proxyProtocol, repeats: PROBES_PER_HOST, timeoutMs }
      const result = await this.#options.tasks.run('probe-front', task)
      return result.ok ? result : { ok: false, reason: `${where}: ${result.reason}` }
    })
  }

  async #visitPages(plan: Plan, signal: AbortSignal): Promise<boolean> {
    const loot = await scoutPages({
      urls: plan.urls,
      rounds: plan.rounds,
      visit: (url) => this.#visit(url, plan, signal),
      signal,
      onFailure: (reason) => this.#warn(reason),
    })
    if (signal.aborted) return true
    const { delays, noise } = this.#knowledge.addLoot(loot)
    if (delays === 'misfit') this.#warn('the times between the records of these pages follow no Weibull law')
    else if (delays !== null) {
      const { gapSamples } = this.#knowledge
      this.#options.log.info(
        `updated delay params: k=${delays.k.toFixed(4)} lambda=${delays.lambdaMs.toFixed(4)} samples=${gapSamples}`,
      )
    }
    if (noise !== null) {
      const { flightSamples } = this.#knowledge
      this.#options.log.info(
        `updated noise params: mean=${noise.meanBytes} jitter=${noise.jitterBytes} samples=${flightSamples}`,
      )
    }
    if ((delays !== null && delays !== 'misfit') || noise !== null)
      this.#options.onProfile(this.#knowledge.profile)
    return loot.failedRounds === 0
  }

  async #visit(url: string, plan: Plan, signal: AbortSignal): Promise<VisitResult> {
    const { hostname, port } = new URL(url)
    const { timeoutMs } = plan
    return this.#attempt(showUrl(url), signal, async () => {
      const host = hostname.replace(/^\[|\]$/g, '')
      const addresses = await this.#resolve(host, Number(port) || HTTPS_PORT, timeoutMs, signal)
      return this.#options.tasks.run('visit-page', { url, addresses, route: this.#route(plan), timeoutMs })
    })
  }

  #route({ via }: Plan): SiteRoute | null {
    return via === null ? null : { ...via, ...this.#options.upstreams() }
  }

  async #resolve(host: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<HostPort[]> {
    const addresses = await this.#options.resolver.resolveWithin(host, timeoutMs, signal)
    return addresses.map((address) => ({ host: address, port }))
  }

  /** Whatever goes wrong with one of them, the thread of the tasks included, is a reason to try again later. */
  async #attempt<T>(what: string, signal: AbortSignal, attempt: () => Promise<T>): Promise<T | Failed> {
    if (signal.aborted) return { ok: false, reason: 'stopped' }
    try {
      return await attempt()
    } catch (error) {
      return { ok: false, reason: `${what}: ${error instanceof Error ? error.message : String(error)}` }
    }
  }

  #warn(reason: string): void {
    if (!this.#raids.signal.aborted) this.#options.log.warn({ error: reason }, 'cannot learn')
  }
}

/** Ends early, and in order, when the signal fires. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    timer.unref()
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
  })
}

type Failed = { readonly ok: false; readonly reason: string }

function planRaids(config: ProxyConfig): Plan {
  const { urls, repeatsPerRaid, raidEachMs, learnFront } = config.defense.doppelganger
  return {
    targets: learnFront ? listFrontTargets(config) : [],
    urls,
    rounds: repeatsPerRaid,
    raidEachMs,
    timeoutMs: config.network.timeout.httpMs,
    proxyProtocol: config.domainFronting.proxyProtocol,
    via: planWay(config),
    ownAddresses: [config.publicIpv4, config.publicIpv6].filter((address) => address !== null),
  }
}

/** The site is learnt from by the way that strangers are led to it. */
function planWay({ domainFronting, network }: ProxyConfig): Plan['via'] {
  const { proxies, dns } = network
  return domainFronting.viaProxies && proxies.length > 0 ? { proxies, dns } : null
}
