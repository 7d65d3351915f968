import { setTimeout as sleep } from 'node:timers/promises'

import type { EchoClient } from './echo-client.ts'

/**
 * A proxy of ours paces the first 128 KiB behind a pause of a second: so many messages later a connection is through
 * with that, and the code is compiled.
 */
export const PACED_ROUND_TRIPS = 700
/** Shorter than a pause, and seldom enough to be no load. */
const KEEP_AWAKE_MS = 100

/**
 * Exchange so many messages on every connection; those who are through keep on until all of them are, or they would have
 * paused again. Returns the milliseconds that each message took, of so many on every connection.
 */
export async function passPause(clients: readonly EchoClient[], count: number): Promise<number[]> {
  const timesMs: number[] = []
  const behind = new Set(clients)
  const talk = async (client: EchoClient): Promise<void> => {
    for (let trip = 0; trip < count; trip++) timesMs.push(await client.roundTrip())
    behind.delete(client)
    while (behind.size > 0) {
      await sleep(KEEP_AWAKE_MS)
      await client.roundTrip()
    }
  }
  await Promise.all(clients.map(talk))
  return timesMs
}
