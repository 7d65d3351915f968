import { once } from 'node:events'

import { findBench } from './benches.ts'
import type { BenchOptions, LoadTarget } from './bench.ts'

/**
 * The load in a process of its own, so that its processor time is not the proxy's and not the measurer's.
 * Arguments: name of the bench, target and options as JSON. Prints `ready`, runs on a line from stdin, prints `done`.
 */
const PROGRESS_EACH_MS = 250

function print(event: string, fields: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
}

const [name = '', target = '', options = ''] = process.argv.slice(2)
// Our own measurer wrote both.
const run = await findBench(name).prepare(
  JSON.parse(target) as LoadTarget,
  JSON.parse(options) as BenchOptions,
)
print('ready')
await once(process.stdin, 'data')

let printedAt = Date.now()
const report = await run((share) => {
  if (Date.now() - printedAt < PROGRESS_EACH_MS) return
  printedAt = Date.now()
  print('progress', { share })
})
print('done', { report })
// What is held stays held until the measurer has read its numbers.
process.stdin.on('end', () => process.exit(0)).resume()
