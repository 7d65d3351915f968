import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os'

import { buildTgLink } from '#primary/proxy-link'
import { drawQrCode } from '#primary/qr-code'
import type { ProxyConfig } from '#shared/config'
import type { HostPort } from '#shared/dc'

/** A screenful: who has more users does not hand out links from a terminal. */
const MAX_LINKS = 10
const WILDCARDS: readonly string[] = ['0.0.0.0', '::']
const LOOPBACK = '127.0.0.1'

export interface LinkOptions {
  /** The first address that listens, with the port that was really bound. */
  readonly listening: HostPort
  /** Width of the terminal in characters, or null if nobody looks: then there is no QR code. */
  readonly columns: number | null
  /** First IPv4 address of this machine in its network. */
  readonly localIpv4: string | undefined
}

/** The links of the users for a person: one line each, a QR code for the first, a hint if the address is a guess. */
export function formatLinks(config: ProxyConfig, options: LinkOptions): string {
  const configured = config.publicIpv4 ?? config.publicIpv6
  const server = configured ?? guessServer(options)
  const links = config.users.flatMap((user) =>
    user.secrets.map((secret) => ({
      name: user.name,
      url: buildTgLink({ server, port: options.listening.port, secret }),
    })),
  )
  const lines = links.slice(0, MAX_LINKS).map((link) => `${link.name}: ${link.url}`)
  if (links.length > MAX_LINKS) lines.push(`… and ${links.length - MAX_LINKS} more`)
  const first = links[0]
  const code =
    first === undefined || options.columns === null ? undefined : drawQrCode(first.url, options.columns)
  if (code !== undefined) lines.push('', code, '')
  if (configured === null)
    lines.push(`${server} is a guess: set public-ipv4 to the address that clients reach`)
  return `${lines.join('\n')}\n`
}

/** The first IPv4 address that is not this machine talking to itself. */
export function findLocalIpv4(
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces(),
): string | undefined {
  return Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .find((address) => address.family === 'IPv4' && !address.internal)?.address
}

function guessServer(options: LinkOptions): string {
  // Who binds one address means that one.
  if (!WILDCARDS.includes(options.listening.host)) return options.listening.host
  return options.localIpv4 ?? LOOPBACK
}
