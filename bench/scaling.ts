/**
 * What does each worker thread cost before it does anything, and what do the tables of N threads? For docs/scaling.md.
 * `node bench/scaling.ts [--built] [--json] [--quick]`
 *
 * First the program as operators start it, from its sources or as it was built (`npm run build`), with 1 to 32 worker threads and nobody there: start, resident set, system
 * threads, descriptors, and processor time while it idles. Then, in this process, the tables of 10,000 users for that
 * many threads: their size, and the processor time of reading all of them when every user was active in one thread, and in all.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createCountersMemory } from '#shared/state/counters'
import { createHistogramMemory } from '#shared/state/histogram'
import { ledgerBytes } from '#shared/state/ledger-layout'
import { createLedgerMemory } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'
import { UserRows } from '#shared/state/user-rows'
import { findFreePort } from '../test/support/free-port.ts'
import { IS_QUICK } from './support/micro.ts'
import { parseStat, parseStatus, readText } from './support/proc.ts'
import { buildConfig, OWN_DIRECTORY, startProgram } from './support/proxy-process.ts'
import { quantile } from './support/statistics.ts'

const MAIN = process.argv.includes('--built') ? 'dist/primary/main.js' : 'packages/primary/main.ts'
const THREADS = IS_QUICK ? [1, 2] : [1, 2, 4, 8, 16, 32]
const USERS = IS_QUICK ? 100 : 10_000
const LOOKS = IS_QUICK ? 3 : 15
/** What a start has left behind is collected by then. */
const SETTLE_MS = IS_QUICK ? 100 : 4000
const IDLE_MS = IS_QUICK ? 200 : 5000
/** Nobody is there: it is never dialled. */
const NO_DC_PORT = 9
const MIB = 1024 * 1024

interface Idle {
  readonly startMs: number
  readonly startCpuSeconds: number
  readonly rssMib: number
  readonly systemThreads: number
  readonly descriptors: number
  readonly idleCpuPercent: number
}

async function measureIdle(workers: number): Promise<Idle> {
  const begunMs = performance.now()
  const port = await findFreePort()
  const proxy = await startProgram({
    port,
    files: { 'config.toml': buildConfig({ workers, dcPort: NO_DC_PORT }, port, '00'.repeat(16)) },
    command: (file) => [process.execPath, join(OWN_DIRECTORY, MAIN), 'run', file('config.toml')],
  })
  const startMs = performance.now() - begunMs
  const proc = `/proc/${proxy.pid}`
  const cpuSeconds = (): number => parseStat(readText(`${proc}/stat`) ?? '')?.ownSeconds ?? 0
  const startCpuSeconds = cpuSeconds()
  await sleep(SETTLE_MS)
  const before = cpuSeconds()
  await sleep(IDLE_MS)
  const idle: Idle = {
    startMs,
    startCpuSeconds,
    rssMib: parseStatus(readText(`${proc}/status`) ?? '').rssKib / 1024,
    systemThreads: readdirSync(`${proc}/task`).length,
    descriptors: readdirSync(`${proc}/fd`).length,
    idleCpuPercent: ((cpuSeconds() - before) / (IDLE_MS / 1000)) * 100,
  }
  await proxy.stop()
  return idle
}

interface Tables {
  readonly ledgerMib: number
  readonly countersKib: number
  readonly activeInOneMs: number
  readonly activeInAllMs: number
}

function measureTables(threads: number): Tables {
  const memory = createLedgerMemory(threads)
  const ledger = new UserLedger(memory)
  const users = Array.from({ length: USERS }, () => ledger.addUser())
  const rows = Array.from({ length: threads }, (_, thread) => new UserRows(memory, thread))
  for (const row of rows) for (const { slot, generation } of users) row.admit(slot, generation)
  const read = (active: readonly UserRows[]): number => {
    const timesMs: number[] = []
    for (let look = 0; look < LOOKS; look++) {
      for (const row of active) {
        for (const { slot } of users) {
          const account = row.account(slot)
          account.bytesIn += 1000
          account.lastSeenMs = Date.now()
        }
        row.publish()
      }
      const begun = process.threadCpuUsage()
      for (const { slot } of users) ledger.read(slot)
      const { user, system } = process.threadCpuUsage(begun)
      timesMs.push((user + system) / 1000)
    }
    return quantile(timesMs, 0.5)
  }
  return {
    ledgerMib: ledgerBytes(threads, USERS) / MIB,
    countersKib:
      (createCountersMemory(threads).buffer.byteLength + createHistogramMemory(threads).buffer.byteLength) /
      1024,
    activeInOneMs: read(rows.slice(0, 1)),
    activeInAllMs: read(rows),
  }
}

const results = []
for (const threads of THREADS) {
  const idle = await measureIdle(threads)
  const tables = measureTables(threads)
  results.push({ threads, figures: { ...idle, ...tables } })
  if (process.argv.includes('--json')) continue
  process.stdout.write(
    `${threads} workers: start ${Math.round(idle.startMs)} ms (${idle.startCpuSeconds.toFixed(2)} s CPU), ` +
      `${idle.rssMib.toFixed(0)} MiB, ${idle.systemThreads} threads, ${idle.descriptors} descriptors, ` +
      `idle ${idle.idleCpuPercent.toFixed(2)} %; ${USERS} users: ${tables.ledgerMib.toFixed(1)} MiB, ` +
      `read in ${tables.activeInOneMs.toFixed(1)} ms (active in one thread), ${tables.activeInAllMs.toFixed(1)} ms ` +
      `(in all); counters ${tables.countersKib.toFixed(0)} KiB\n`,
  )
}
process.stdout.write(`${JSON.stringify({ bench: 'scaling', users: USERS, results })}\n`)
