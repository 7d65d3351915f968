import type { CounterRow } from './counters.ts'
import type { HandshakeLimit } from './handshakes.ts'
import { slot } from './layout.ts'

const LIMITED: Readonly<Record<HandshakeLimit, number>> = {
  total: slot('handshakes_limited', { reason: 'total' }),
  address: slot('handshakes_limited', { reason: 'address' }),
}

/** A limit on unfinished handshakes refused a connection. */
export function countHandshakeLimited(counters: CounterRow, limit: HandshakeLimit): void {
  counters.add(LIMITED[limit], 1)
}
