/**
 * `npm run test:soak`: the program under mixed load with reloads, changes of users and deaths of threads, its every
 * number checked against a model; then behind a balancer, for a tenth of the time; then, unless the soak is a short one, the
 * storms of storm.ts, the upgrades of upgrade.ts and the comings and goings of cipher.ts. A line of JSON for each soak; fails if anything cannot be explained. See docs/soak.md.
 *
 *   --minutes N   default 30; 2 in CI
 *   --seed N      repeats a run, as far as the machine's timing does
 *   --only mixed | balancer | storm | upgrade | cipher
 */
import { parseArgs } from 'node:util'
import { runSoak, type SoakResult } from './soak.ts'

const PARTS = ['mixed', 'balancer', 'storm', 'upgrade', 'cipher'] as const
const SHORTEST_MINUTES = 0.5
/** They take a minute or some each, and `npm test` has small ones. */
const LONG_ALONE: readonly string[] = ['storm', 'upgrade', 'cipher']
const LONG_FROM_MINUTES = 10

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    only: { type: 'string' },
  },
})
const minutes = Number(values.minutes)
const seed = Number(values.seed)
const parts = PARTS.filter((part) =>
  values.only === undefined
    ? !LONG_ALONE.includes(part) || minutes >= LONG_FROM_MINUTES
    : values.only === part,
)
if (!(minutes > 0) || !Number.isSafeInteger(seed) || parts.length === 0)
  throw new Error(`usage: --minutes N --seed N --only ${PARTS.join('|')}`)

for (const part of parts) {
  if (part === 'storm') await import('./storm.ts')
  else if (part === 'upgrade') await import('./upgrade.ts')
  else if (part === 'cipher') await import('./cipher.ts')
  else await soak(part === 'balancer', part === 'balancer' && parts.length > 1 ? minutes / 10 : minutes)
}

async function soak(proxyProtocol: boolean, duration: number): Promise<void> {
  const result = await runSoak({
    minutes: Math.max(SHORTEST_MINUTES, duration),
    seed,
    proxyProtocol,
    onProgress: ({ minute, sessions, rssMib, heapMib, descriptors, held }) => {
      if (!process.stderr.isTTY) return
      process.stderr.write(
        `minute ${minute}: ${sessions} sessions so far, ${held} held, ${rssMib} MiB resident, ` +
          `${heapMib} MiB of heap, ${descriptors} descriptors\n`,
      )
    },
  })
  report(result)
}

/** One line of JSON; what is wrong, if anything, for people too. */
function report(result: SoakResult): void {
  process.stdout.write(`${JSON.stringify(result)}\n`)
  for (const problem of result.problems) process.stderr.write(`${problem}\n`)
  if (result.problems.length > 0) process.exitCode = 1
}
