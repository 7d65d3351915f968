import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

import { EchoClient } from './echo-client.ts'
import { openLine } from './line.ts'
import type { LoadTarget } from './scenario.ts'
import { passPause } from './pass-pause.ts'
import { quantile } from './statistics.ts'
import { tellFailure } from './tell-failure.ts'

/**
 * How long do those who are served wait? Some clients that have messages echoed, in a process of their own, so that no load
 * delays them at this end. Arguments: the target, and how many
 * messages to exchange before. Prints `connected`; between the lines `start` and `stop` it measures,
 * and prints what it saw.
 */

/** Connections are spread over the worker threads: some on each. */
const CLIENTS = 4
const PAUSE_MS = 1
/** While nobody measures: rare, but no pause behind which a proxy of ours would pace again. */
const REST_MS = 400

tellFailure()
const target = JSON.parse(process.argv[2] ?? '') as LoadTarget // our own load wrote it
const clients: EchoClient[] = []
for (let at = 0; at < CLIENTS; at++) clients.push(await EchoClient.open(target, openLine))
await passPause(clients, Number(process.argv[3]))

let timesMs: number[] = []
let isMeasured = false
let started = Promise.withResolvers<void>()
const talk = async (client: EchoClient): Promise<void> => {
  for (;;) {
    const tookMs = await client.roundTrip()
    timesMs.push(tookMs)
    await (isMeasured ? sleep(PAUSE_MS) : Promise.race([sleep(REST_MS), started.promise]))
  }
}
const talks = Promise.all(clients.map(talk))
process.stdout.write('{"event":"connected"}\n')
const lines = createInterface(process.stdin)
lines.on('line', (line) => {
  isMeasured = line === 'start'
  if (isMeasured) {
    timesMs = []
    return started.resolve()
  }
  started = Promise.withResolvers()
  const values = {
    P50Ms: quantile(timesMs, 0.5),
    P99Ms: quantile(timesMs, 0.99),
    MaxMs: quantile(timesMs, 1),
  }
  process.stdout.write(`${JSON.stringify({ event: 'seen', values })}\n`)
})
await Promise.race([talks, once(lines, 'close')])
process.exit(0)
