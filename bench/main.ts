import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'

import { TDLIB_RECORD_PAYLOAD_BYTES } from '../test/support/faketls-client.ts'
import type { Bench, BenchOptions, Figures } from './support/bench.ts'
import { findBench } from './support/benches.ts'
import { runOnce } from './support/run-once.ts'

/** `npm run bench -- handshakes|download|upload|idle-memory`: method and last numbers are in README.md. */

interface RunOptions extends BenchOptions {
  readonly runs: number
  readonly fastMode: boolean
  readonly compare: boolean
  readonly json: boolean
}

interface Series {
  readonly fastMode: boolean
  readonly runs: Figures[]
}

/** Runs of both modes alternate: what else happens on the machine then hits both. */
async function measure(bench: Bench, options: RunOptions): Promise<void> {
  const modes = options.compare ? [true, false] : [options.fastMode]
  const series: Series[] = modes.map((fastMode) => ({ fastMode, runs: [] }))
  for (let run = 1; run <= options.runs; run += 1) {
    for (const { fastMode, runs } of series) {
      const label = `${bench.name} ${run}/${options.runs} fast-mode ${fastMode ? 'on' : 'off'}`
      runs.push(await runOnce(bench, options, fastMode, (share) => showProgress(label, share)))
    }
  }
  clearProgress()
  const medians = series.map(({ fastMode, runs }) => ({ fastMode, median: findMedians(runs) }))
  if (!options.json) {
    for (const { fastMode, median } of medians) {
      console.log(`${bench.name}, fast-mode ${fastMode ? 'on' : 'off'}: ${bench.describe(median)}`)
    }
  }
  const { workers, reusePort, connections, count, totalMib, recordPayloadBytes } = options
  console.log(
    JSON.stringify({
      bench: bench.name,
      node: process.versions.node,
      options: { workers, reusePort, connections, count, totalMib, recordPayloadBytes },
      medians,
      series,
    }),
  )
}

/** Each figure for itself. */
function findMedians(runs: readonly Figures[]): Figures {
  const names = Object.keys(runs[0] ?? {})
  return Object.fromEntries(
    names.map((name) => {
      const sorted = runs.map((figures) => figures[name] ?? Number.NaN).toSorted((a, b) => a - b)
      const upper = sorted[sorted.length >> 1] ?? Number.NaN
      const lower = sorted[(sorted.length - 1) >> 1] ?? Number.NaN
      return [name, Number(((upper + lower) / 2).toPrecision(4))]
    }),
  )
}

function showProgress(label: string, share: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${label} ${Math.floor(share * 100)} %`)
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

const number = (describe: string, fallback: number) =>
  ({ type: 'number', describe, default: fallback, requiresArg: true }) as const

const { argv } = yargs(hideBin(process.argv))
  .scriptName('npm run bench --')
  .command('handshakes', 'processor time of a handshake, with the dial and one message', {
    count: number('handshakes a run', 5000),
    connections: number('under way at once', 32),
  })
  .command('download', 'processor time of a GiB from the data centre to clients', {
    mib: number('MiB a run, over all connections', 2048),
    connections: number('at once', 4),
  })
  .command('upload', 'processor time of a GiB from clients to the data centre', {
    mib: number('MiB a run, over all connections', 512),
    connections: number('at once', 4),
    'record-bytes': number('payload of a record', TDLIB_RECORD_PAYLOAD_BYTES),
  })
  .command('idle-memory', 'memory of an idle pair of connections', {
    count: number('pairs', 3000),
    connections: number('opened at once', 32),
  })
  .options({
    workers: number('worker threads of the proxy', 1),
    runs: number('runs of each mode; the figures are medians', 3),
    'fast-mode': { type: 'boolean', default: true },
    'reuse-port': { type: 'boolean', default: false, describe: 'every worker accepts for itself' },
    compare: { type: 'boolean', default: false, describe: 'both fast modes, run by run in turn' },
    json: { type: 'boolean', default: false, describe: 'the JSON line alone' },
  })
  .demandCommand(1, 1, 'which bench?')
  .strict()
// Ends by 'exit', which ends the proxy as well.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
const values = await argv
// Each command has only some of the numbers.
const numeric = values as unknown as Partial<Record<string, number>>
await measure(findBench(String(values._[0])), {
  workers: values.workers,
  reusePort: values['reuse-port'],
  runs: values.runs,
  fastMode: values['fast-mode'],
  compare: values.compare,
  json: values.json,
  connections: numeric['connections'] ?? 0,
  count: numeric['count'] ?? 0,
  totalMib: numeric['mib'] ?? 0,
  recordPayloadBytes: numeric['record-bytes'] ?? 0,
})
