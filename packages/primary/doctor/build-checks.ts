import { type DcTable, formatHostPort } from '#shared/dc'
import type { ProxyConfig, Socks5Proxy, UpstreamProxy } from '#shared/config'
import type { SiteRoute } from '#shared/dial/dial-site'
import { UpstreamRegistry, upstreamKey } from '#shared/dial/upstream-state'
import type { ConfigProblem } from '#shared/errors'
import type { PublicIps } from '#primary/public-ip'

import type { Check } from './check.ts'
import { checkConfigWarnings } from './config-warnings.ts'
import { checkDcConnectivity, skipDcConnectivity } from './dc-connectivity.ts'
import type { DcProber } from './dc-prober.ts'
import { checkDeprecatedOptions } from './deprecated-options.ts'
import { checkDescriptorLimit } from './descriptor-limit.ts'
import { listFrontTargets, listSecretHosts } from './front-targets.ts'
import { checkFrontingDomains } from './fronting-domain.ts'
import { checkFrontingLoop } from './fronting-loop.ts'
import { checkSniDns } from './sni-dns.ts'
import type { SntpServer } from './sntp.ts'
import { checkTimeSkewness } from './time-skewness.ts'

export interface DoctorContext {
  readonly config: ProxyConfig
  /** The file as it stands. */
  readonly configText: string
  readonly warnings: readonly ConfigProblem[]
  readonly skipNativeCheck: boolean
  readonly ntpServer: SntpServer
  readonly prober: DcProber
  /** With the configured resolver. */
  readonly resolve: (host: string) => Promise<readonly string[]>
  readonly findPublicIps: () => Promise<PublicIps>
  readonly nowMs: number
  /** PEM certificates to trust in place of the system's. */
  readonly ca?: string
}

/** All checks in the order they are printed: those of the reference (operator.md §3), then ours. */
export function buildChecks(context: DoctorContext): readonly Check[] {
  const { config, resolve, findPublicIps } = context
  const targets = listFrontTargets(config)
  const { host, proxyProtocol } = config.domainFronting
  return [
    checkDeprecatedOptions(context.configText),
    checkConfigWarnings(context.warnings),
    checkTimeSkewness(config.tolerateTimeSkewnessMs, context.ntpServer),
    buildNativeCheck(context),
    ...listProxies(config).map((proxied, index) => buildProxyCheck(context, proxied, index)),
    checkFrontingDomains({
      targets,
      resolve,
      route: planFrontRoute(config),
      proxyProtocol,
      nowMs: context.nowMs,
      ...(context.ca === undefined ? {} : { ca: context.ca }),
    }),
    checkSniDns({ hosts: listSecretHosts(config), resolve, findPublicIps }),
    checkFrontingLoop({ targets, bindTo: config.bindTo, isPinned: host !== null, resolve, findPublicIps }),
    checkDescriptorLimit(config.concurrency),
  ]
}

function buildNativeCheck({ config, prober, skipNativeCheck }: DoctorContext): Check {
  const id = 'native-connectivity'
  const title = 'Validate native network connectivity'
  if (skipNativeCheck) return skipDcConnectivity(id, title)
  const { dcs, preferIp, network } = config
  const advice =
    network.proxies.length > 0
      ? 'if Telegram is to be reached through the proxies alone, leave this out with --skip-native-check'
      : 'a firewall or the provider may block Telegram: let TCP port 443 out, or name SOCKS5 servers in network.proxies'
  return checkDcConnectivity({ id, title, dcs, preferIp, upstream: null, prober, advice })
}

/** A SOCKS5 server, and the data centres that clients reach through it. */
interface Proxied {
  readonly proxy: Socks5Proxy
  readonly dcs: DcTable
}

/** Those of `network.proxies`, then those that only `[dc-routes]` has. */
function listProxies({ network, dcs, dcRoutes }: ProxyConfig): readonly Proxied[] {
  const found = new Map<string, Proxied>()
  const add = (proxies: readonly UpstreamProxy[], reached: DcTable): void => {
    for (const proxy of proxies) {
      if (proxy.kind !== 'socks5') continue
      const key = upstreamKey(proxy)
      found.set(key, { proxy, dcs: { ...found.get(key)?.dcs, ...reached } })
    }
  }
  add(network.proxies, dcs)
  for (const [dc, proxies] of Object.entries(dcRoutes)) add(proxies, { [dc]: dcs[Number(dc)] ?? [] })
  return [...found.values()]
}

/** By the ways that strangers take, with breakers of its own. */
function planFrontRoute(config: ProxyConfig): SiteRoute | null {
  const { proxies, dns } = config.network
  if (!config.domainFronting.viaProxies || proxies.length === 0) return null
  const registry = new UpstreamRegistry()
  registry.setConfig(config)
  return { proxies, dns, memory: registry.memory, slots: registry.slots }
}

function buildProxyCheck({ config, prober }: DoctorContext, { proxy, dcs }: Proxied, index: number): Check {
  return checkDcConnectivity({
    id: `proxy-connectivity-${index + 1}`,
    title: `Validate network connectivity with proxy ${maskProxyUrl(proxy)}`,
    dcs,
    preferIp: config.preferIp,
    upstream: proxy,
    prober,
    advice:
      'see that the SOCKS5 server runs, that the credentials are right, and that it may reach Telegram itself',
  })
}

/** Whether there are credentials may be seen, they themselves may not. */
function maskProxyUrl(proxy: Socks5Proxy): string {
  const credentials = proxy.username === null && proxy.password === null ? '' : '***@'
  return `socks5://${credentials}${formatHostPort(proxy)}`
}
