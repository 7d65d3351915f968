import type { Check, LineMark } from './check.ts'
import { formatDuration } from './format-duration.ts'
import { measureClockOffset, SNTP_TIMEOUT_MS, type SntpServer } from './sntp.ts'

/** Shares of the tolerance (operator.md §3): clients have a drift of their own, which adds up with ours. */
const FINE_SHARE = 0.3
const BEARABLE_SHARE = 0.7

/** Clients sign the time into their hello: whose clock is off too far is taken for a stranger. */
export function checkTimeSkewness(toleranceMs: number, server: SntpServer): Check {
  return {
    id: 'time-skewness',
    title: 'Time skewness',
    timeoutMs: SNTP_TIMEOUT_MS,
    run: async (signal) => {
      let offsetMs: number
      try {
        offsetMs = await measureClockOffset(server, signal)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        return {
          lines: [{ mark: 'error', text: `cannot access ntp pool: ${reason}` }],
          advice: [`let UDP port ${server.port} out to ${server.host}, or compare the clock by other means`],
        }
      }
      const share = Math.abs(offsetMs) / toleranceMs
      const mark: LineMark = share < FINE_SHARE ? 'ok' : share < BEARABLE_SHARE ? 'warn' : 'fail'
      const drift = formatDuration(Math.abs(offsetMs))
      const text = `Time drift is ${drift}, tolerate-time-skewness is ${formatDuration(toleranceMs)}`
      return { lines: [{ mark, text }], advice: mark === 'ok' ? [] : [explain(offsetMs)] }
    },
  }
}

function explain(offsetMs: number): string {
  const direction = offsetMs > 0 ? 'slow' : 'fast'
  return `the clock of this machine is ${direction}: keep it right with chrony, systemd-timesyncd or ntpd`
}
