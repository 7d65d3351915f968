import { dcCandidates, type DcTable, type HostPort, type PreferIp } from '#shared/dc'
import type { SocksUpstream } from '#shared/dc-probe'

import type { Check, CheckLine } from './check.ts'
import type { DcProber } from './dc-prober.ts'
import { formatDuration } from './format-duration.ts'

/** For all addresses of one data centre (operator.md §3). */
const BUDGET_MS = 10_000
/** The thread has to start, and to hand back what it found. */
const TIMEOUT_MS = BUDGET_MS + 5000

export interface DcConnectivityOptions {
  readonly id: string
  readonly title: string
  readonly dcs: DcTable
  readonly preferIp: PreferIp
  readonly upstream: SocksUpstream | null
  readonly prober: DcProber
  readonly budgetMs?: number
  /** What to do when a data centre does not answer. */
  readonly advice: string
}

/** Every data centre answers a real request, directly or through one SOCKS5 server. */
export function checkDcConnectivity(options: DcConnectivityOptions): Check {
  const { id, title, dcs, upstream, prober, budgetMs = BUDGET_MS } = options
  const ids = Object.keys(dcs).map(Number)
  return {
    id,
    title,
    timeoutMs: TIMEOUT_MS,
    run: async () => {
      const lines = await Promise.all(
        ids.map(async (dc): Promise<CheckLine> => {
          const addresses = listAddresses(dcs, dc, options.preferIp)
          const result = await prober.probe({ dc, addresses, upstream, budgetMs })
          if (!result.ok) return { mark: 'fail', text: `DC ${dc}: ${result.reasons.join('; ')}` }
          return { mark: 'ok', text: `DC ${dc} (rpc ${formatDuration(result.rttMs)})` }
        }),
      )
      return { lines, advice: lines.every((line) => line.mark === 'ok') ? [] : [options.advice] }
    },
  }
}

/** IPv4 first whatever is preferred: what matters here is whether there is a way at all. */
function listAddresses(dcs: DcTable, dc: number, preferIp: PreferIp): readonly HostPort[] {
  const isOnly = preferIp === 'only-ipv4' || preferIp === 'only-ipv6'
  return dcCandidates(dcs, dc, isOnly ? preferIp : 'prefer-ipv4', 0)
}

/** The check that the operator does not want. */
export function skipDcConnectivity(id: string, title: string): Check {
  return {
    id,
    title,
    timeoutMs: 1000,
    run: async () => ({ lines: [{ mark: 'skip', text: 'Skipped (--skip-native-check)' }], advice: [] }),
  }
}
