import { formatHostPort } from '#shared/dc'
import { dialSite, type SiteRoute } from '#shared/dial/dial-site'

import type { Check, CheckLine } from './check.ts'
import type { FrontTarget } from './front-targets.ts'
import { probeTls, type TlsFacts } from './tls-probe.ts'

/** For one host, connection and handshake together (operator.md §3). */
const BUDGET_MS = 10_000
/** Hosts at once: enough for every real file, and not a flood for the resolver. */
const PARALLEL = 16
/** Certificates that renew themselves do so 30 days before their end: less than half of that is a hint. */
const EXPIRY_WARNING_MS = 14 * 24 * 3_600_000

export interface FrontingOptions {
  readonly targets: readonly FrontTarget[]
  readonly resolve: (host: string) => Promise<readonly string[]>
  /** `via-proxies`; null: directly. */
  readonly route: SiteRoute | null
  readonly proxyProtocol: boolean
  readonly nowMs: number
  readonly budgetMs?: number
  readonly ca?: string
}

/** Every site that stands in for us is there and looks like a site: TCP, TLS 1.3, a certificate for its name. */
export function checkFrontingDomains(options: FrontingOptions): Check {
  const { targets, budgetMs = BUDGET_MS } = options
  return {
    id: 'fronting-domain',
    title: 'Validate fronting domain connectivity',
    timeoutMs: Math.ceil(targets.length / PARALLEL) * budgetMs + 5000,
    run: async (signal) => {
      const perTarget: CheckLine[][] = []
      for (let start = 0; start < targets.length && !signal.aborted; start += PARALLEL) {
        const batch = targets.slice(start, start + PARALLEL)
        perTarget.push(...(await Promise.all(batch.map((target) => examine(target, options, budgetMs)))))
      }
      const lines = perTarget.flat()
      return { lines, advice: advise(lines) }
    },
  }
}

async function examine(
  target: FrontTarget,
  options: FrontingOptions,
  budgetMs: number,
): Promise<CheckLine[]> {
  const name = describeTarget(target)
  const budget = AbortSignal.timeout(budgetMs)
  try {
    const addresses = await options.resolve(target.host)
    const socket = await dialSite({
      addresses: addresses.map((host) => ({ host, port: target.port })),
      route: options.route,
      timeoutMs: budgetMs,
      signal: budget,
    })
    const facts = await probeTls(socket, { ...options, serverName: target.serverName, signal: budget })
    return [describeSuccess(name, facts), ...findFaults(target, facts, options.nowMs)]
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const text = budget.aborted ? `no answer within ${budgetMs} ms` : reason
    return [{ mark: 'fail', text: `${name}: ${text}` }]
  }
}

function describeTarget({ host, port, serverName }: FrontTarget): string {
  const address = formatHostPort({ host, port })
  return host === serverName ? address : `${address} as ${serverName}`
}

function describeSuccess(name: string, { protocol, group, certificate }: TlsFacts): CheckLine {
  const until = formatDate(certificate.validToMs)
  const facts = [protocol, group, `certificate until ${until}`].filter((fact) => fact !== '')
  return { mark: 'ok', text: `${name} is reachable (${facts.join(', ')})` }
}

function findFaults({ serverName }: FrontTarget, facts: TlsFacts, nowMs: number): CheckLine[] {
  const { validFromMs, validToMs, mismatch, untrusted } = facts.certificate
  const lines: CheckLine[] = []
  if (facts.protocol !== 'TLSv1.3')
    lines.push({
      mark: 'warn',
      text: `${serverName} speaks ${facts.protocol}, but clients of ours see TLSv1.3`,
    })
  if (mismatch !== null)
    lines.push({ mark: 'fail', text: `the certificate is not for ${serverName}, but for ${mismatch}` })
  const isExpired = nowMs > validToMs || nowMs < validFromMs
  if (isExpired)
    lines.push({
      mark: 'fail',
      text: `the certificate for ${serverName} is valid from ${formatDate(validFromMs)} to ${formatDate(validToMs)}`,
    })
  else if (validToMs - nowMs < EXPIRY_WARNING_MS)
    lines.push({ mark: 'warn', text: `the certificate for ${serverName} ends on ${formatDate(validToMs)}` })
  if (untrusted !== null && !isExpired)
    lines.push({
      mark: 'warn',
      text: `browsers do not trust the certificate for ${serverName}: ${untrusted}`,
    })
  return lines
}

function advise(lines: readonly CheckLine[]): string[] {
  if (lines.every((line) => line.mark === 'ok')) return []
  return [
    'whoever connects without a secret gets to see this site, and one that is broken gives the proxy away: mend it, ' +
      'make a secret for another host (mtg-multi generate-secret), or name a site in [domain-fronting] host and port',
  ]
}

/** `2026-12-01` */
function formatDate(timeMs: number): string {
  return Number.isNaN(timeMs) ? 'an unknown day' : new Date(timeMs).toISOString().slice(0, 10)
}
