import { formatHostPort } from '#shared/dc'
import type { ProxyConfig, Socks5Proxy } from '#shared/config'
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
    ...config.network.proxies
      .filter((proxy) => proxy.kind === 'socks5')
      .map((proxy, index) => buildProxyCheck(context, proxy, index)),
    checkFrontingDomains({
      targets,
      resolve,
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

function buildProxyCheck({ config, prober }: DoctorContext, proxy: Socks5Proxy, index: number): Check {
  return checkDcConnectivity({
    id: `proxy-connectivity-${index + 1}`,
    title: `Validate network connectivity with proxy ${maskProxyUrl(proxy)}`,
    dcs: config.dcs,
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
