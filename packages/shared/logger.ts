import { createRequire } from 'node:module'
import { type Logger as PinoLogger, pino } from 'pino'
import type { PinoPretty } from 'pino-pretty'

import { ConfigError, DialError, HandshakeError, OperatorError } from './errors.ts'
import { LineStream } from './log-lines.ts'
import type { LogTarget } from './worker-control.ts'

export type Logger = PinoLogger

/** For what only a terminal needs: every thread would pay 30 ms for it at its start. */
const require = createRequire(import.meta.url)

/** Values under these names never print, in any letter case. A user's name (`secret_name`) is no secret. */
const SECRET_NAME = /^(?:secrets?|keys?|token|password|api-?token)$/i
const REDACTED = '…'
/** Fields bound by `child()` do not pass through the formatter of a line; pino itself takes these out. */
const BOUND_SECRETS = ['secret', 'secrets', 'key', 'token', 'password'].flatMap((name) => [name, `*.${name}`])
/** Whatever is nested deeper is not printed at all. */
const MAX_DEPTH = 6

/**
 * A logger that writes JSON lines with the field names of the reference (operator.md §5): `level`, bound fields,
 * `logger`, `error`, `timestamp` (Unix time in ms) and `message`. Writes are synchronous and one line each, so that
 * the lines of several threads on one descriptor stay whole.
 */
export function createLogger(target: LogTarget, name = ''): Logger {
  return pino(
    {
      level: target.level,
      base: { logger: name },
      messageKey: 'message',
      errorKey: 'error',
      timestamp: () => `,"timestamp":${Date.now()}`,
      formatters: { level: (label) => ({ level: label }), log: redactFields },
      serializers: { error: formatError },
      redact: { paths: BOUND_SECRETS, censor: REDACTED },
    },
    target.pretty ? openPretty(target) : new LineStream(target.destination),
  )
}

function redactFields(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, redact(name, value, 1)]))
}

function redact(name: string, value: unknown, depth: number): unknown {
  if (SECRET_NAME.test(name)) return REDACTED
  if (typeof value !== 'object' || value === null || value instanceof Error) return value
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`
  if (depth === MAX_DEPTH) return REDACTED
  if (Array.isArray(value)) return value.map((element) => redact('', element, depth + 1))
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, redact(key, inner, depth + 1)]))
}

/** The message with those of its causes. An error that nobody foresaw keeps its stack: we have to mend it. */
export function formatError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  if (!isForeseen(error)) return error.stack ?? error.message
  let text = error.message
  let cause = error.cause
  for (let depth = 0; depth < MAX_CAUSES && cause instanceof Error; depth++) {
    // Many messages quote that of their cause already.
    if (!text.includes(cause.message)) text += `: ${cause.message}`
    cause = cause.cause
  }
  return text
}

/** A chain of causes longer than this is a loop. */
const MAX_CAUSES = 8

function isForeseen(error: Error): boolean {
  return (
    error instanceof HandshakeError ||
    error instanceof DialError ||
    error instanceof ConfigError ||
    error instanceof OperatorError ||
    // What the operating system reports: ECONNRESET, EADDRINUSE.
    'syscall' in error
  )
}

function loadPretty(): typeof PinoPretty {
  // What `require` gives has no type.
  return (require('pino-pretty') as { PinoPretty: typeof PinoPretty }).PinoPretty
}

function openPretty(target: LogTarget): ReturnType<typeof PinoPretty> {
  const stream = loadPretty()({
    destination: target.destination,
    sync: true,
    messageKey: 'message',
    timestampKey: 'timestamp',
    translateTime: 'SYS:HH:MM:ss',
    // The names of loggers matter to machines; people read the message.
    ignore: 'logger',
    singleLine: true,
  })
  stream.on('error', () => {})
  return stream
}
