/** Errors by who can act on them. Decide on `code`, never on `message`. */
import type { RefuseAction } from './config.ts'

/** Why a handshake ended without a session. Also the `outcome` label of the handshake counter. */
export const HANDSHAKE_CODES = [
  'peer-closed',
  'deadline',
  'record-type',
  'record-version',
  'handshake-type',
  'too-many-records',
  'hello-too-large',
  'hello-malformed',
  'no-cipher',
  'sni-missing',
  'sni-unknown',
  'digest',
  'busy',
  'stale-time',
  'before-start',
  'replay',
  'ip-list',
  'refused',
  'obfuscated2',
  'front-answered',
  'quota',
] as const
export type HandshakeCode = (typeof HANDSHAKE_CODES)[number]

/** The peer did not prove that it knows a secret: front it or close it, count it, log it at debug. */
export class HandshakeError extends Error {
  readonly code: HandshakeCode
  /** Whose site such a peer gets to see: the host it named, or null for the first user's. */
  readonly frontHost: string | null
  /** What such a peer gets before we have answered a byte. */
  readonly action: RefuseAction
  constructor(
    code: HandshakeCode,
    message: string,
    frontHost: string | null = null,
    action: RefuseAction = 'front',
  ) {
    super(message)
    this.name = 'HandshakeError'
    this.code = code
    this.frontHost = frontHost
    this.action = action
  }
}

/** Why a connection that has to begin with a PROXY header was closed. Also `outcome` labels of its counter. */
export const PROXY_HEADER_CODES = ['untrusted', 'absent', 'malformed', 'deadline', 'peer-closed'] as const
export type ProxyHeaderCode = (typeof PROXY_HEADER_CODES)[number]

/** The peer is no balancer of ours, or a broken one: close it, count it, log it at debug. */
export class ProxyHeaderError extends Error {
  readonly code: ProxyHeaderCode
  constructor(code: ProxyHeaderCode, message: string) {
    super(message)
    this.name = 'ProxyHeaderError'
    this.code = code
  }
}

export const DIAL_CODES = [
  'no-addresses',
  'timeout',
  'refused',
  'unreachable',
  'unresolved',
  'aborted',
  'loop',
  'limit',
  'upstream',
  'no-descriptors',
  'failed',
] as const
export type DialCode = (typeof DIAL_CODES)[number]

/** The network did not answer: try the next address, or give up with a warning. */
export class DialError extends Error {
  readonly code: DialCode
  constructor(code: DialCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DialError'
    this.code = code
  }
}

/** One thing an operator has to mend, addressed by its TOML path. */
export interface ConfigProblem {
  /** TOML path such as `network.timeout.tcp`; empty for the file as a whole. */
  path: string
  /** 1-based line in the file, when the parser knows it. */
  line?: number
  /** What stands there, with secrets masked. */
  found?: string
  /** What would be right, or what to do. */
  expected: string
}

/** The operator has to change the configuration: every problem at once. */
export class ConfigError extends Error {
  readonly code = 'config' as const
  readonly problems: readonly ConfigProblem[]
  constructor(problems: readonly ConfigProblem[], options?: ErrorOptions) {
    super(problems.map(formatConfigProblem).join('\n'), options)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** `network.timeout.tcp (line 12): found "5", expected a duration such as "5s"` */
export function formatConfigProblem(problem: ConfigProblem): string {
  const where = problem.line === undefined ? problem.path : `${problem.path} (line ${problem.line})`
  const what = problem.found === undefined ? problem.expected : `found ${problem.found}, ${problem.expected}`
  return where.trim() === '' ? what : `${where.trim()}: ${what}`
}

/** The operator has to change the environment: a taken port, an unreadable file. One clear line, exit 1. */
export class OperatorError extends Error {
  readonly code = 'operator' as const
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'OperatorError'
  }
}

/** We are wrong. The thread dies and is replaced. */
export class BugError extends Error {
  readonly code = 'bug' as const
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BugError'
  }
}
