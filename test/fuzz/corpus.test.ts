import { test } from 'node:test'
import * as fc from 'fast-check'
import { readCorpus } from './corpus.ts'
import { Judge } from './judge.ts'
import { TARGETS } from './targets.ts'

/** Enough to tell that a generator and its target still fit each other. */
const FRESH_INPUTS = 30

for (const target of TARGETS) {
  test(`${target.name}: whatever was found before, and a few fresh inputs, break no rule`, async (t) => {
    const judge = new Judge(target, await target.open())
    t.after(() => judge.close())
    const kept = readCorpus(target.name)
    const fresh = fc.sample(target.inputs, FRESH_INPUTS).map((input) => ({ name: 'fresh', input }))
    for (const { name, input } of [...kept, ...fresh]) {
      const failure = (await judge.judge(input)) ?? (await judge.settle())
      if (failure !== null) throw new Error(`${name} (${input.toString('base64')}): ${failure.reason}`)
    }
  })
}
