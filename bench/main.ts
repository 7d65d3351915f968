import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'

import { readOperatorConfig } from './support/operator-config.ts'
import { locateProxy, parseSubject } from './support/parse-subject.ts'
import { runProgram } from './support/program.ts'
import { buildJson, clearProgress, printForPeople, showProgress } from './support/report.ts'
import { findScenario, SCENARIOS } from './support/scenarios.ts'
import type { Scenario } from './support/scenario.ts'
import { collectAmounts, requireWhole } from './support/amounts.ts'
import { describeMachine, runSeries } from './support/series.ts'
import { createCheckoutSubject, createRunningSubject, type Subject } from './support/subject.ts'

/** `npm run bench -- SCENARIO [--proxy HOST:PORT --secret ee… | --config FILE] [--json]`: see README.md. */

/** Ports of the bench's data centre for a proxy that was set up before: `[dc]` or a SOCKS5 server lead there. */
const DC_PORT = 14_430
const SOCKS_PORT = 10_800

const number = (describe: string) => ({ type: 'number', describe, requiresArg: true }) as const
const text = (describe: string) => ({ type: 'string', describe, requiresArg: true }) as const

const parser = yargs(hideBin(process.argv))
  .scriptName('npm run bench --')
  .usage('$0 SCENARIO [options]')
  .options({
    proxy: text('HOST:PORT of a proxy that runs; with --secret'),
    secret: text('its secret, ee…'),
    pid: number('its process; else who listens on the port of this machine'),
    'dc-port': number(`port of the data centre (with --proxy ${DC_PORT}, else any)`),
    'socks-port': number(`port of its SOCKS5 face (with --proxy ${SOCKS_PORT}, else any)`),
    config: text("this program with an operator's configuration file"),
    subject: text('what is measured, as --compare has it'),
    compare: {
      type: 'string',
      array: true,
      nargs: 2,
      describe:
        'two subjects in turn: key=value, a git revision, a directory, sh:COMMAND, proxy:HOST:PORT,SECRET',
    },
    runs: number('of each subject (3); figures are medians'),
    workers: number("worker threads of a proxy that is started (2, or the configuration's)"),
    connections: number('connections, or handshakes at once'),
    count: number('handshakes, idle connections, round trips'),
    mib: number('MiB of a run, over all connections'),
    seconds: number('of parts that have a time'),
    secrets: { type: 'number', array: true, describe: 'how many secrets the host has' },
    verify: { type: 'boolean', default: false, describe: 'compare every byte, both ways' },
    quick: { type: 'boolean', default: false, describe: 'one run of next to nothing: shows that it works' },
    json: { type: 'boolean', default: false, describe: 'the JSON line alone' },
  })
  .conflicts('proxy', ['config', 'subject', 'compare'])
  .conflicts('config', ['subject', 'compare'])
  .conflicts('subject', 'compare')
  .implies('proxy', 'secret')
  .demandCommand(1, 'which scenario?')
  .strictOptions()
  .showHelpOnFail(false, 'npm run bench -- --help shows what there is.')
for (const { name, summary } of SCENARIOS) parser.command(name, summary)
const values = await parser.argv

async function collectSubjects(): Promise<Subject[]> {
  if (values.proxy !== undefined) {
    const address = locateProxy(values.proxy, values.secret ?? '', values.pid)
    if (address.pids.length === 0)
      console.error('Its process is not known: say --pid for processor time and memory.')
    return [createRunningSubject(values.proxy, address)]
  }
  if (values.config !== undefined) {
    return [createCheckoutSubject(values.config, { base: readOperatorConfig(values.config) })]
  }
  if (values.compare === undefined) return [await parseSubject(values.subject ?? '')]
  const subjects: Subject[] = []
  for (const each of values.compare) subjects.push(await parseSubject(each))
  return subjects
}

/** One of them shows as well that it works. */
function listSecretCounts({ secretCounts = [1] }: Scenario): readonly number[] {
  return values.quick ? [secretCounts[secretCounts.length >> 1] ?? 1] : secretCounts
}

async function run(): Promise<number> {
  const [name = '', ...others] = values._.map(String)
  if (others.length > 0) throw new Error(`one scenario at a time, not ${[name, ...others].join(' ')}`)
  const scenario = findScenario(name)
  const { runs, workers, pid, 'dc-port': dcPort, 'socks-port': socksPort, secrets = [] } = values
  requireWhole({ runs, workers, pid, 'dc-port': dcPort, 'socks-port': socksPort })
  for (const each of secrets) requireWhole({ secrets: each })
  const amounts = collectAmounts(scenario, values, values.quick)
  const subjects = await collectSubjects()
  const isForeign =
    values.proxy !== undefined || values.compare?.some((each) => each.startsWith('proxy:')) === true
  const options = {
    ...amounts,
    runs: runs ?? (values.quick ? 1 : 3),
    ...(workers === undefined ? {} : { workers }),
    secretCounts: values.secrets ?? (isForeign ? [1] : listSecretCounts(scenario)),
    verify: values.verify,
    dcPort: dcPort ?? (isForeign ? DC_PORT : 0),
    socksPort: socksPort ?? (isForeign ? SOCKS_PORT : 0),
  }
  if (isForeign && !values.json) {
    console.error(
      `The data centre is at 127.0.0.1:${options.dcPort}, and behind the SOCKS5 server 127.0.0.1:${options.socksPort}.`,
    )
  }
  if (values.quick && !values.json) console.error('--quick: that it works, and no figure to go by.')
  const series = await runSeries(scenario, subjects, options, showProgress)
  clearProgress()
  for (const subject of subjects) await subject.dispose()
  if (!values.json) printForPeople(scenario, series)
  console.log(buildJson(scenario, series, { machine: describeMachine(), options }))
  return 0
}

await runProgram(run)
