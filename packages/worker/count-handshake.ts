import { HANDSHAKE_CODES, type HandshakeCode } from '#shared/errors'
import type { CounterRow } from '#shared/state/counters'
import { slot } from '#shared/state/layout'

type Outcome = 'ok' | HandshakeCode
// fromEntries forgets which keys it was given.
const HANDSHAKES = Object.fromEntries(
  ['ok', ...HANDSHAKE_CODES].map((outcome) => [outcome, slot('handshakes', { outcome })]),
) as Record<Outcome, number>

/** How the handshake of a connection ended. To be called once. */
export function countHandshake(counters: CounterRow, outcome: Outcome): void {
  counters.add(HANDSHAKES[outcome], 1)
}
