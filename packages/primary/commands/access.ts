import { isIPv4, isIPv6 } from 'node:net'

import { buildAccessJson } from '#primary/access/access-json'
import { chooseUsers } from '#primary/access/choose-user'
import { formatJson } from '#primary/access/format-json'
import { checkQrFileName, writeQrFile } from '#primary/access/write-qr-file'
import { ExitCode, UsageError } from '#primary/exit'
import { buildTgLink } from '#primary/proxy-link'
import { detectPublicIps, type PublicIps } from '#primary/public-ip'
import { drawQrCode } from '#primary/qr-code'
import type { ProxyConfig, UserConfig } from '#shared/config'
import { Resolver } from '#shared/dial/resolver'
import { OperatorError } from '#shared/errors'

import { readConfigFile } from './read-config-file.ts'

/** What terminals that do not tell their width have. */
const DEFAULT_COLUMNS = 80

export interface AccessOptions {
  readonly configPath: string
  readonly ipv4?: string
  readonly ipv6?: string
  readonly port?: number
  /** Secrets in hex in the links. */
  readonly hex: boolean
  /** Only this user. */
  readonly user?: string
  /** Write the QR code of the link into this file, .svg or .png. */
  readonly qr?: string
}

/** What the command touches besides its file. */
export interface AccessSurroundings {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number }
  /** Where the public address is asked for, in place of the usual service. */
  readonly publicIpUrl?: string
}

/**
 * `access <config-path>`: the links of the users as JSON on stdout (operator.md §4, decision O7), and on a terminal the
 * QR code of the only or the named user on stderr. No secret is sent anywhere.
 * @throws UsageError for a flag that cannot be, OperatorError for an unknown user or a file that cannot be written
 */
export async function runAccess(
  options: AccessOptions,
  surroundings: AccessSurroundings = process,
): Promise<ExitCode> {
  checkFlags(options)
  const { config } = await readConfigFile(options.configPath)
  const users = chooseUsers(config.users, options.user)
  if (options.qr !== undefined && users.length > 1)
    throw new UsageError('a QR code is for one user: say which with --user')

  const ips = await findPublicIps(config, options, surroundings)
  const port = options.port ?? config.bindTo[0]?.port ?? 0
  const isMultiUser = config.users.length > 1
  surroundings.stdout.write(formatJson(buildAccessJson({ users, isMultiUser, ips, port, hex: options.hex })))
  const link = buildOnlyLink(users, ips, port, options.hex)
  if (options.qr !== undefined) {
    if (link === null)
      throw new OperatorError('no QR code without an address: give --ipv4 or --ipv6, or set public-ipv4')
    await writeQrFile(options.qr, link)
  }
  showToPerson(users, link, ips, surroundings.stderr)
  return ExitCode.ok
}

function checkFlags({ ipv4, ipv6, port, qr }: AccessOptions): void {
  if (ipv4 !== undefined && !isIPv4(ipv4)) throw new UsageError(`--ipv4: ${ipv4} is not an IPv4 address`)
  if (ipv6 !== undefined && !isIPv6(ipv6)) throw new UsageError(`--ipv6: ${ipv6} is not an IPv6 address`)
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535))
    throw new UsageError('--port: expected a number from 1 to 65535')
  if (qr !== undefined) checkQrFileName(qr)
}

/** Flag, else configuration, else detection: for each family on its own. */
function findPublicIps(
  config: ProxyConfig,
  options: AccessOptions,
  { publicIpUrl }: AccessSurroundings,
): Promise<PublicIps> {
  return detectPublicIps({
    known: { ipv4: options.ipv4 ?? config.publicIpv4, ipv6: options.ipv6 ?? config.publicIpv6 },
    timeoutMs: config.network.timeout.httpMs,
    lookup: new Resolver(config.network.dns).lookup,
    ...(publicIpUrl === undefined ? {} : { url: publicIpUrl }),
  })
}

/** The link a QR code shows: that of the only user with the first secret, over IPv4 if there is one. */
function buildOnlyLink(
  users: readonly UserConfig[],
  ips: PublicIps,
  port: number,
  hex: boolean,
): string | null {
  const [user, ...others] = users
  const secret = user?.secrets[0]
  const server = ips.ipv4 ?? ips.ipv6
  if (secret === undefined || server === null || others.length > 0) return null
  return buildTgLink({ server, port, secret }, { hex })
}

/** Remarks go to stderr, so that stdout stays JSON. */
function showToPerson(
  users: readonly UserConfig[],
  link: string | null,
  ips: PublicIps,
  stderr: AccessSurroundings['stderr'],
): void {
  if (ips.ipv4 === null && ips.ipv6 === null)
    stderr.write('no links: the public address is unknown. Set public-ipv4, or give --ipv4 or --ipv6\n')
  if (stderr.isTTY !== true) return
  if (users.length > 1) stderr.write('for a QR code say whose: --user NAME\n')
  const code = link === null ? undefined : drawQrCode(link, stderr.columns ?? DEFAULT_COLUMNS)
  if (code !== undefined) stderr.write(`\n${code}\n`)
}
