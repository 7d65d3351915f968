import { normalizeIp } from '#primary/config/address'

import type { PublicIps } from '#primary/public-ip'
import { DialError } from '#shared/errors'

import type { Check, CheckLine } from './check.ts'

/** Name resolution and public-address detection have shorter limits of their own. */
const TIMEOUT_MS = 15_000

export interface SniDnsOptions {
  /** Distinct hosts of all secrets. */
  readonly hosts: readonly string[]
  readonly resolve: (host: string) => Promise<readonly string[]>
  readonly findPublicIps: () => Promise<PublicIps>
}

/** A censor compares the name in the hello with the address that it goes to: they should belong together. */
export function checkSniDns({ hosts, resolve, findPublicIps }: SniDnsOptions): Check {
  return {
    id: 'sni-dns',
    title: 'Validate SNI-DNS match',
    timeoutMs: TIMEOUT_MS,
    run: async () => {
      const ips = await findPublicIps()
      if (ips.ipv4 === null && ips.ipv6 === null) {
        return {
          lines: [{ mark: 'error', text: 'cannot detect public IP address' }],
          advice: ['set public-ipv4 or public-ipv6 to the address that clients reach'],
        }
      }
      const lines = await Promise.all(hosts.map((host) => compare(host, resolve, ips)))
      return { lines, advice: advise(lines) }
    },
  }
}

async function compare(host: string, resolve: SniDnsOptions['resolve'], ips: PublicIps): Promise<CheckLine> {
  let resolved: readonly string[]
  try {
    resolved = await resolve(host)
  } catch (error) {
    // Ours name the host themselves.
    if (error instanceof DialError) return { mark: 'error', text: error.message }
    return { mark: 'error', text: `cannot resolve ${host}: ${String(error)}` }
  }
  const ours = new Set([ips.ipv4, ips.ipv6].filter((ip) => ip !== null).map(normalizeIp))
  const match = resolved.find((address) => ours.has(normalizeIp(address)))
  if (match !== undefined) return { mark: 'ok', text: `${host} resolves to ${match}, our public address` }
  const list = resolved.map((address) => JSON.stringify(address)).join(', ')
  const [ipv4, ipv6] = [ips.ipv4 ?? '<not detected>', ips.ipv6 ?? '<not detected>']
  return { mark: 'fail', text: `${host} resolves to ${list}, our public addresses are ${ipv4} and ${ipv6}` }
}

function advise(lines: readonly CheckLine[]): string[] {
  const advice: string[] = []
  if (lines.some((line) => line.mark === 'error'))
    advice.push('see that the name exists and that the resolver of network.dns answers')
  if (lines.every((line) => line.mark !== 'fail')) return advice
  return [
    ...advice,
    'censors notice a host name that does not belong to the address: best is a domain of your own that points to this ' +
      'host, with secrets for it',
  ]
}
