/**
 * Is a revision slower than another one? `npm run bench:compare -- BASE [SUBJECT] [--runs 5] [--limit 1.25]`
 *
 * Both are measured in a fixed set of scenarios, run by run in turn. Exits 1 when the median ratio of a processor time is
 * above the limit. BASE and SUBJECT are what `--compare` takes: a git revision, a directory, key=value; SUBJECT is this
 * checkout unless given. The last line is JSON.
 */
import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'

import { requirePositive, requireWhole } from './support/amounts.ts'
import { parseSubject } from './support/parse-subject.ts'
import { runProgram } from './support/program.ts'
import { clearProgress, showProgress } from './support/report.ts'
import { type Amounts, UNUSED_AMOUNTS } from './support/scenario.ts'
import { findScenario } from './support/scenarios.ts'
import { describeMachine, findRatios, nameCount, runSeries } from './support/series.ts'
import type { Subject } from './support/subject.ts'
import { describeVerdict, judge, type Verdict } from './support/verdict.ts'

interface Test {
  readonly scenario: string
  /** Enough for a second of processor time, or nearly. */
  readonly amounts: Partial<Amounts>
  readonly secretCount?: number
  /** Of both. */
  readonly settings?: string
}

const TESTS: readonly Test[] = [
  { scenario: 'handshakes', amounts: { count: 3000 } },
  { scenario: 'download', amounts: { mib: 1024 } },
  { scenario: 'download', amounts: { mib: 512 }, settings: 'fast-mode=false' },
  { scenario: 'upload', amounts: { mib: 512 } },
  { scenario: 'ping-pong', amounts: { count: 50_000, seconds: 1 } },
  { scenario: 'secrets', amounts: { count: 1000, seconds: 2 }, secretCount: 10_000 },
]

const values = await yargs(hideBin(process.argv))
  .scriptName('npm run bench:compare --')
  .usage('$0 BASE [SUBJECT]')
  .options({
    runs: { type: 'number', default: 5, describe: 'of each, in turn' },
    limit: { type: 'number', default: 1.25, describe: 'the highest ratio of processor times that passes' },
    scenario: { type: 'string', array: true, describe: 'these alone' },
    json: { type: 'boolean', default: false, describe: 'the JSON line alone' },
    quick: {
      type: 'boolean',
      default: false,
      describe: 'next to nothing, judged by nobody: shows that it works',
    },
  })
  .demandCommand(1, 2, 'compared with which revision?')
  .strict()
  .showHelpOnFail(false, 'npm run bench:compare -- --help shows what there is.').argv
const { json, quick, scenario: chosen } = values
const runs = quick ? 1 : values.runs
const limit = quick ? Infinity : values.limit
const [base = '', subject = ''] = values._.map(String)

async function measure(test: Test): Promise<Verdict[]> {
  const scenario = findScenario(test.scenario)
  const { secretCount = 1, settings = '' } = test
  const subjects: Subject[] = []
  for (const each of [base, subject]) subjects.push(await parseSubject(`${each} ${settings}`.trim()))
  const options = {
    ...UNUSED_AMOUNTS,
    ...scenario.defaults,
    ...(quick ? scenario.quick : test.amounts),
    runs,
    secretCounts: [secretCount],
    verify: false,
    dcPort: 0,
    socksPort: 0,
  }
  const [first, second] = await runSeries(scenario, subjects, options, showProgress)
  clearProgress()
  for (const each of subjects) await each.dispose()
  const ratios = first === undefined || second === undefined ? {} : findRatios(first, second)
  const name = [test.scenario, settings].filter((part) => part !== '').join(', ') + nameCount(secretCount)
  return scenario.cpuFigures.map((figure) => judge(name, figure, ratios[figure], limit))
}

/** A name that is none would leave nothing to be slower. */
function chooseTests(): readonly Test[] {
  if (chosen === undefined) return TESTS
  const names = [...new Set(TESTS.map(({ scenario }) => scenario))]
  const unknown = chosen.find((name) => !names.includes(name))
  if (unknown !== undefined) throw new Error(`no comparison of ${unknown}, but of ${names.join(', ')}`)
  return TESTS.filter(({ scenario }) => chosen.includes(scenario))
}

await runProgram(async () => {
  requireWhole({ runs })
  requirePositive({ limit: values.limit })
  const tests = chooseTests()
  const say = json ? () => {} : console.log
  say(`${subject || 'this checkout'} / ${base}: processor time, min median max of ${runs} pairs`)
  const verdicts: Verdict[] = []
  for (const test of tests) {
    const found = await measure(test)
    for (const verdict of found) say(describeVerdict(verdict))
    verdicts.push(...found)
  }
  const about = { machine: describeMachine(), base, subject, runs, limit }
  console.log(JSON.stringify({ bench: 'compare-revisions', ...about, figures: verdicts }))
  if (quick && !json) console.error('--quick: that it works, and no figure to go by.')
  return !quick && verdicts.some(({ isWorse }) => isWorse) ? 1 : 0
})
