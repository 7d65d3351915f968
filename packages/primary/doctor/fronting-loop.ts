import type { PublicIps } from '#primary/public-ip'
import { formatHostPort, type HostPort } from '#shared/dc'
import { LoopGuard } from '#shared/loop-guard'

import type { Check, CheckLine } from './check.ts'
import type { FrontTarget } from './front-targets.ts'

/** Name resolution and public-address detection have shorter limits of their own. */
const TIMEOUT_MS = 15_000

export interface FrontingLoopOptions {
  readonly targets: readonly FrontTarget[]
  readonly bindTo: readonly HostPort[]
  /** `domain-fronting.host` is set: the operator has chosen where strangers go. */
  readonly isPinned: boolean
  readonly resolve: (host: string) => Promise<readonly string[]>
  readonly findPublicIps: () => Promise<PublicIps>
}

/**
 * Where strangers are sent must not be this proxy again (decision W16). The proxy itself refuses such a connection, so
 * that strangers get nothing; a router in front of it that sends them round is beyond what the proxy can see.
 */
export function checkFrontingLoop(options: FrontingLoopOptions): Check {
  return {
    id: 'fronting-loop',
    title: 'Validate that fronting does not lead back here',
    timeoutMs: TIMEOUT_MS,
    run: async () => {
      const ips = await options.findPublicIps()
      const publicAddresses = [ips.ipv4, ips.ipv6].filter((ip) => ip !== null)
      const guard = new LoopGuard(options.bindTo, publicAddresses)
      // With a pinned host all targets are the same one.
      const distinct = new Map(options.targets.map((target) => [formatHostPort(target), target]))
      const lines = await Promise.all(
        [...distinct.values()].map((target) => examine(target, options, guard, publicAddresses)),
      )
      return { lines, advice: advise(lines) }
    },
  }
}

async function examine(
  target: FrontTarget,
  options: FrontingLoopOptions,
  guard: LoopGuard,
  publicAddresses: readonly string[],
): Promise<CheckLine> {
  const { host, port } = target
  const name = formatHostPort({ host, port })
  let addresses: readonly string[]
  try {
    addresses = await options.resolve(host)
  } catch {
    return { mark: 'skip', text: `${name}: cannot be resolved` }
  }
  const own = addresses.find((address) => guard.isOurs({ host: address, port }, performance.now()))
  if (own !== undefined)
    return { mark: 'fail', text: `${name} is this proxy itself (${formatHostPort({ host: own, port })})` }
  const near = addresses.find((address) => publicAddresses.includes(address))
  if (near !== undefined && !options.isPinned)
    return { mark: 'warn', text: `${name} is port ${port} of this host, which may lead to this proxy again` }
  return { mark: 'ok', text: `${name} is another server` }
}

function advise(lines: readonly CheckLine[]): string[] {
  if (lines.every((line) => line.mark === 'ok' || line.mark === 'skip')) return []
  return [
    'set host and port in [domain-fronting] to the web server behind this proxy, such as 127.0.0.1 and 8443',
  ]
}
