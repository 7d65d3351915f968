import { slot } from '#shared/state/layout'
import { RELAY_ENDS } from '#shared/state/own-metrics'
import type { Connection } from './connection.ts'

const RELAYS_ENDED = { relaying: slotsOf('telegram'), fronting: slotsOf('site') } as const

/** How the relay of a connection ended. To be called once, when it closes. */
export function countRelayEnd(
  connection: Connection,
  stage: keyof typeof RELAYS_ENDED,
  reason: string,
): void {
  const slots = RELAYS_ENDED[stage]
  const found = slots.get(reason) ?? slots.get('other')
  if (found !== undefined) connection.thread.counters.add(found, 1)
  if (stage === 'relaying') takeBackUnsent(connection)
}

/** `bytes_out` is counted when written; what Node still holds at the end never left (decision O2). */
function takeBackUnsent({ client, tally, userKey, thread }: Connection): void {
  const unsent = Math.min(client.unsentBytes, tally.down)
  if (unsent === 0 || userKey === null) return
  tally.down -= unsent
  const account = thread.users.account(userKey.user.slot)
  account.bytesOut -= unsent
  account.prepaid += unsent
}

function slotsOf(to: 'telegram' | 'site'): ReadonlyMap<string, number> {
  return new Map(RELAY_ENDS.map((how) => [how, slot('relays_ended', { to, how })]))
}
