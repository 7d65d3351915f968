import { Child } from './child.ts'
import { readCpu, readRssKib, subtractCpu } from './process-usage.ts'
import type {
  Figures,
  LoadOptions,
  LoadReport,
  LoadTarget,
  Measurement,
  ReportProgress,
  Scenario,
} from './scenario.ts'
import type { Subject } from './subject.ts'

const DC_SCRIPT = new URL('./data-centre.ts', import.meta.url)
const LOAD_SCRIPT = new URL('./load.ts', import.meta.url)

export interface RunOptions extends LoadOptions {
  /** Of the subject's own configuration unless given. */
  readonly workers?: number
  readonly secretCount: number
  /** Of the bench's data centre; any unless given. */
  readonly dcPort: number
  readonly socksPort: number
}

/** One run: a new data centre, a new proxy unless it runs already, a new load; what the proxy used in each phase. */
export async function runOnce(
  scenario: Scenario,
  subject: Subject,
  options: RunOptions,
  progress: ReportProgress,
): Promise<Figures> {
  await using stack = new AsyncDisposableStack()
  const dc = new Child('the data centre', DC_SCRIPT, [
    '--port',
    String(options.dcPort),
    '--socks-port',
    String(options.socksPort),
  ])
  stack.defer(() => dc.stop())
  const ports = await dc.next()
  const dcPort = Number(ports['port'])
  const { workers, secretCount } = options
  const proxy = await subject.start({
    dcPort,
    socksPort: Number(ports['socksPort']),
    secretCount,
    ...(workers === undefined ? {} : { workers }),
  })
  stack.defer(() => proxy.stop())
  const { host, port, secret, seed, pids } = proxy
  const target: LoadTarget = {
    host,
    port,
    secret,
    seed,
    dcPort,
    secretCount: seed === null ? 1 : secretCount,
  }
  const load = new Child('the load', LOAD_SCRIPT, [
    scenario.name,
    JSON.stringify(target),
    JSON.stringify(options),
  ])
  stack.defer(() => load.stop())

  await load.next() // ready
  const measurements: Record<string, Measurement> = {}
  for (const phase of scenario.phases) {
    const cpuBefore = readCpu(pids)
    const rssBeforeKib = readRss(pids)
    load.send(phase)
    const report = await awaitReport(load, progress)
    const cpu = pids.length === 0 ? null : subtractCpu(readCpu(pids), cpuBefore)
    measurements[phase] = { cpu, rssBeforeKib, rssAfterKib: readRss(pids), load: report }
  }
  return scenario.compute(measurements)
}

function readRss(pids: readonly number[]): number {
  return pids.length === 0 ? Number.NaN : readRssKib(pids)
}

async function awaitReport(load: Child, progress: ReportProgress): Promise<LoadReport> {
  for (;;) {
    const line = await load.next()
    if (line['event'] === 'done') return revive(line['report'] as LoadReport) // load.ts prints it so
    progress(Number(line['share']))
  }
}

/** JSON has no NaN: what the load could not measure comes as null. */
function revive({ values = {}, ...report }: LoadReport): LoadReport {
  const revived = Object.entries(values).map(([name, value]: [string, number | null]) => [
    name,
    value ?? Number.NaN,
  ])
  return { ...report, values: Object.fromEntries(revived) }
}
