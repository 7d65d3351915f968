import { createInterface } from 'node:readline'

import type { LoadOptions, LoadTarget } from './scenario.ts'
import { findScenario } from './scenarios.ts'
import { tellFailure } from './tell-failure.ts'

/**
 * The load in a process of its own, so that its processor time is not the proxy's and not the measurer's.
 * Arguments: name of the scenario, target and options as JSON. Prints `ready`; a line on stdin names a phase, which it
 * runs and answers with `done`. Prints `failed` when something is wrong with the proxy.
 */
const PROGRESS_EACH_MS = 250

function print(event: string, fields: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
}

tellFailure()
const [name = '', target = '', options = ''] = process.argv.slice(2)
// Our own measurer wrote both.
const phases = await findScenario(name).prepare(
  JSON.parse(target) as LoadTarget,
  JSON.parse(options) as LoadOptions,
)
print('ready')
let printedAt = 0
const progress = (share: number): void => {
  if (Date.now() - printedAt < PROGRESS_EACH_MS) return
  printedAt = Date.now()
  print('progress', { share })
}
for await (const phase of createInterface(process.stdin)) {
  print('done', { report: await phases[phase]?.(progress) })
}
// What was held stayed held until the measurer had read its numbers.
process.exit(0)
