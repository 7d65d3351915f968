import { formatSecretBase64, formatSecretHex, type Secret } from '#shared/secret'

/** What a client has to know. */
export interface ProxyAddress {
  /** IP literal or host name, without brackets. */
  readonly server: string
  readonly port: number
  readonly secret: Secret
}

export interface LinkStyle {
  /** The secret in hex, which some old clients want, instead of base64. */
  readonly hex?: boolean
}

/** The link that opens Telegram and offers the proxy. Keys sorted, as the reference prints them (operator.md §4). */
export function buildTgLink(address: ProxyAddress, style: LinkStyle = {}): string {
  return `tg://proxy?${buildQuery(address, style)}`
}

/** The same as a web page, for chats that make only such links clickable. */
export function buildTmeLink(address: ProxyAddress, style: LinkStyle = {}): string {
  return `https://t.me/proxy?${buildQuery(address, style)}`
}

function buildQuery(address: ProxyAddress, { hex = false }: LinkStyle): string {
  return new URLSearchParams([
    ['port', String(address.port)],
    ['secret', hex ? formatSecretHex(address.secret) : formatSecretBase64(address.secret)],
    ['server', address.server],
  ]).toString()
}
