import type { UserConfig } from '#shared/config'
import { formatSecretBase64, formatSecretHex, type Secret } from '#shared/secret'

import { buildTgLink, buildTmeLink } from '../proxy-link.ts'
import type { PublicIps } from '../public-ip.ts'
import type { JsonValue } from './format-json.ts'
import { buildQrDataUrl } from './qr-svg.ts'

export interface AccessOptions {
  /** Sorted bytewise by name, at least one. The first is whom the keys of the reference tell about. */
  readonly users: readonly UserConfig[]
  /** Of all users of the file: `secrets` appears when there are several (operator.md §4). */
  readonly isMultiUser: boolean
  readonly ips: PublicIps
  readonly port: number
  /** Secrets in hex in the links. */
  readonly hex: boolean
}

/**
 * What `access` prints: the keys of the reference in its order, for the first user, and below `users` every link of
 * every user, one entry for each secret of theirs. QR images stand only with the first user, for they make up nine
 * tenths of the bytes; those of others come with `--user` or `--qr`.
 */
export function buildAccessJson(options: AccessOptions): JsonValue {
  const { users, isMultiUser } = options
  const [first] = users
  const secret = first?.secrets[0]
  const top: [string, JsonValue][] = []
  if (secret !== undefined) {
    top.push(...describeFamilies(secret, options, true), ['secret', describeSecret(secret)])
  }
  if (isMultiUser) top.push(['secrets', new Map(users.map((user) => [user.name, describeFirstSecret(user)]))])
  top.push(['users', new Map(users.map((user) => [user.name, describeLinks(user, options)]))])
  return new Map(top)
}

function describeFirstSecret(user: UserConfig): JsonValue {
  const [secret] = user.secrets
  return secret === undefined ? null : describeSecret(secret)
}

/** A user has as many links as secrets: an old and a new host, for example (decision C7). */
function describeLinks(user: UserConfig, options: AccessOptions): JsonValue {
  return user.secrets.map(
    (secret) =>
      new Map<string, JsonValue>([
        ['host', secret.host],
        ...describeFamilies(secret, options, false),
        ['secret', describeSecret(secret)],
      ]),
  )
}

function describeFamilies(
  secret: Secret,
  options: AccessOptions,
  withImages: boolean,
): [string, JsonValue][] {
  const { ipv4, ipv6 } = options.ips
  const families: [string, JsonValue][] = []
  if (ipv4 !== null) families.push(['ipv4', describeLink(ipv4, secret, options, withImages)])
  if (ipv6 !== null) families.push(['ipv6', describeLink(ipv6, secret, options, withImages)])
  return families
}

function describeLink(ip: string, secret: Secret, options: AccessOptions, withImages: boolean): JsonValue {
  const { port, hex } = options
  const address = { server: ip, port, secret }
  const tg = buildTgLink(address, { hex })
  const tme = buildTmeLink(address, { hex })
  const entries: [string, JsonValue][] = [
    ['ip', ip],
    ['port', port],
    ['tg_url', tg],
  ]
  if (withImages) entries.push(['tg_qrcode', buildQrDataUrl(tg)])
  entries.push(['tme_url', tme])
  if (withImages) entries.push(['tme_qrcode', buildQrDataUrl(tme)])
  return new Map(entries)
}

function describeSecret(secret: Secret): JsonValue {
  return new Map([
    ['hex', formatSecretHex(secret)],
    ['base64', formatSecretBase64(secret)],
  ])
}
