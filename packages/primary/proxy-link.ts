import { formatSecretBase64, type Secret } from '#shared/secret'

/** What a client has to know. */
export interface ProxyAddress {
  /** IP literal or host name, without brackets. */
  readonly server: string
  readonly port: number
  readonly secret: Secret
}

/** The link that opens Telegram and offers the proxy. Keys sorted, as the reference prints them (operator.md §4). */
export function buildTgLink(address: ProxyAddress): string {
  return `tg://proxy?${buildQuery(address)}`
}

function buildQuery(address: ProxyAddress): string {
  return new URLSearchParams([
    ['port', String(address.port)],
    ['secret', formatSecretBase64(address.secret)],
    ['server', address.server],
  ]).toString()
}
