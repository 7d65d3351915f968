import { CounterRow, createCountersMemory } from '#shared/state/counters'
import { dcSlot } from '#shared/state/layout'
import { Clock } from '#worker/clock'
import type { SessionMeters } from '#worker/relay/convey'

/** What a session counts with, of a user without a quota and the first address of a data centre. All at 0. */
export function createSessionMeters(counters = new CounterRow(createCountersMemory(1), 0)): SessionMeters {
  const payMore = (): never => {
    throw new Error('nobody without a quota pays')
  }
  return {
    tally: { up: 0, down: 0, lastActiveMs: 0 },
    account: { bytesIn: 0, bytesOut: 0, lastSeenMs: 0, prepaid: Infinity, payMore },
    counters,
    upSlot: dcSlot('telegram_traffic', 0, 'from_client'),
    downSlot: dcSlot('telegram_traffic', 0, 'to_client'),
    clock: new Clock(),
  }
}
