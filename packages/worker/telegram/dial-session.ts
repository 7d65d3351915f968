import { DIAL_CODES, DialError, type DialCode } from '#shared/errors'
import { histogram, type HistogramSeries } from '#shared/state/histogram'
import { slot } from '#shared/state/layout'
import type { ClientSession } from '../obfuscated2/handshake.ts'
import type { Thread } from '../thread.ts'
import { chooseDc, dialDc } from './dial-dc.ts'
import type { DialledSession } from './relay-session.ts'

const DC_DIAL_FAILURES = slot('dc_dial_failures')
// fromEntries forgets which keys it was given.
const DIAL_SECONDS = Object.fromEntries(
  (['ok', ...DIAL_CODES] as const).map((outcome) => [outcome, histogram('dc_dial_seconds', { outcome })]),
) as Record<'ok' | DialCode, HistogramSeries>

/**
 * Dial the data centre that a session asks for, and say so in log and counter when it cannot be had.
 * @throws DialError
 */
export async function dialSession(
  session: ClientSession,
  thread: Thread,
  signal: AbortSignal,
): Promise<DialledSession> {
  const dc = chooseDc(session.dc, thread.dialers.dc)
  const startedMs = performance.now()
  const observe = (outcome: 'ok' | DialCode): void =>
    thread.histograms.observe(DIAL_SECONDS[outcome], (performance.now() - startedMs) / 1000)
  try {
    if (dc === null) throw new DialError('no-addresses', `no available addresses for DC ${session.dc}`)
    if (session.dc !== null && dc !== session.dc) {
      thread.warnings.warn('unknown DC, fallbacks', { dc, original_dc: session.dc })
    }
    const { socket, address } = await dialDc(dc, thread.dialers.dc, signal)
    observe('ok')
    return { session, socket, address, dc }
  } catch (error) {
    if (error instanceof DialError) observe(error.code)
    if (error instanceof DialError && error.code !== 'aborted') {
      thread.counters.add(DC_DIAL_FAILURES, 1)
      thread.warnings.warn('cannot dial to telegram', {
        dc: dc ?? session.dc,
        code: error.code,
        error: error.message,
      })
    }
    throw error
  }
}
