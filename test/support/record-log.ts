import { type Logger, pino } from 'pino'
import { formatError } from '#shared/logger'

export type RecordedLine = Record<string, unknown>

/** A logger whose lines a test can look at. */
export function recordLog(): { logger: Logger; lines: RecordedLine[] } {
  const lines: RecordedLine[] = []
  const write = (line: string): void => {
    lines.push(JSON.parse(line) as RecordedLine)
  }
  const formatters = { level: (label: string) => ({ level: label }) }
  const serializers = { error: formatError }
  return { logger: pino({ messageKey: 'message', formatters, serializers }, { write }), lines }
}
