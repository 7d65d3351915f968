import { isIP } from 'node:net'

import type { TomlTable } from '#primary/config/decoders'
import { parseDurationMs } from '#primary/config/duration'
import { type ReadConfig, readTable } from '#primary/config/read'
import { type ExitCode, UsageError } from '#primary/exit'
import { ConfigError, type ConfigProblem, formatConfigProblem, OperatorError } from '#shared/errors'

import { serve } from './serve.ts'
import { DEFAULT_DOH_IP, DEFAULT_TIMEOUT, type GivenFlags, type SimpleRunFlag } from './simple-run-flags.ts'

export interface SimpleRunOptions extends GivenFlags {
  readonly bindTo: string
  readonly secret: string
}

/** Where the value of a flag stands in the configuration, for those who are told of a path. */
const FLAG_OF_PATH: Readonly<Record<string, string>> = {
  'domain-fronting.port': 'domain-fronting-port',
  'domain-fronting.host': 'domain-fronting-host',
  'network.dns': 'doh-ip',
  'network.proxies': 'socks5-proxy',
  'network.timeout.tcp': 'timeout',
  'network.timeout.http': 'timeout',
  'defense.anti-replay.max-size': 'antireplay-cache-size',
}

/**
 * `simple-run <bind-to> <secret>`: the proxy without a file (operator.md §2.3). Logs as `run` does.
 * @throws UsageError for what is no number, address or duration at all; OperatorError for values that cannot be
 */
export async function runSimpleRun(options: SimpleRunOptions): Promise<ExitCode> {
  hideArguments(options.bindTo)
  return serve({ ...readFlags(options), path: null })
}

/**
 * The secret stands on the command line, as the reference has it, where everybody on the host could read it for as long as
 * the process lives. A title takes the place of the arguments in the list of processes.
 */
function hideArguments(bindTo: string): void {
  process.title = `mtg-multi simple-run ${bindTo}`
}

/** The configuration that the flags make. */
export function readFlags(options: SimpleRunOptions): ReadConfig {
  checkUsage(options.texts)
  try {
    const read = readTable(buildTable(options))
    return { ...read, warnings: nameFlags(read.warnings) }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const problems = nameFlags(error.problems).map((problem) => `incorrect ${formatConfigProblem(problem)}`)
    throw new OperatorError(problems.join('\n'), { cause: error })
  }
}

const isNumber = (text: string): boolean => /^\d+$/.test(text)
const isAddress = (text: string): boolean => isIP(text) !== 0

/** What the reference refuses as wrong usage: these flags have types there, the others are read later. */
function checkUsage(texts: GivenFlags['texts']): void {
  const check = (flag: SimpleRunFlag, isRight: (text: string) => boolean, what: string): void => {
    const text = texts[flag]
    if (text !== undefined && !isRight(text)) throw new UsageError(`--${flag}: expected ${what}`)
  }
  check('concurrency', isNumber, 'a number')
  check('domain-fronting-port', isNumber, 'a number')
  check('domain-fronting-ip', isAddress, 'an IP address')
  check('doh-ip', isAddress, 'an IP address')
  check('timeout', (text) => parseDurationMs(text) !== undefined, 'a duration with its unit, such as "10s"')
}

/** As a file would have it. What stands here and is no flag is forced (operator.md §2.3). */
function buildTable({
  bindTo,
  secret,
  debug,
  proxyProtocolListener,
  socks5Proxies,
  texts,
}: SimpleRunOptions): TomlTable {
  const dohIp = texts['doh-ip'] ?? DEFAULT_DOH_IP
  const timeout = texts.timeout ?? DEFAULT_TIMEOUT
  return dropUndefined({
    debug,
    'bind-to': bindTo,
    secret,
    'proxy-protocol-listener': proxyProtocolListener,
    concurrency: toBigInt(texts.concurrency),
    'prefer-ip': texts['prefer-ip'],
    'allow-fallback-on-unknown-dc': true,
    'domain-fronting-ip': texts['domain-fronting-ip'],
    'domain-fronting': dropUndefined({
      host: texts['domain-fronting-host'],
      port: toBigInt(texts['domain-fronting-port']),
    }),
    network: {
      dns: `https://${isIP(dohIp) === 6 ? `[${dohIp}]` : dohIp}`,
      proxies: socks5Proxies.flatMap((list) => list.split(',')),
      // The relay keeps its own limit: sleeping phones are silent for longer than any connect takes (decision O8).
      timeout: { tcp: timeout, http: timeout },
    },
    defense: { 'anti-replay': dropUndefined({ enabled: true, 'max-size': texts['antireplay-cache-size'] }) },
  })
}

function toBigInt(digits: string | undefined): bigint | undefined {
  return digits === undefined ? undefined : BigInt(digits)
}

function dropUndefined(table: TomlTable): TomlTable {
  return Object.fromEntries(Object.entries(table).filter(([, value]) => value !== undefined))
}

/** In the words of the command line, each flag once. */
function nameFlags<T extends ConfigProblem>(problems: readonly T[]): T[] {
  const named = problems.map((problem) => ({ ...problem, path: FLAG_OF_PATH[problem.path] ?? problem.path }))
  return named.filter(
    ({ path, expected }, index) =>
      named.findIndex((other) => other.path === path && other.expected === expected) === index,
  )
}
