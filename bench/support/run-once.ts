import type { Bench, BenchOptions, Figures, LoadReport, ReportProgress } from './bench.ts'
import { Child } from './child.ts'
import { readCpuSeconds, readRssKib, subtractCpuSeconds } from './process-usage.ts'
import { startProxy } from './proxy-process.ts'

const DC_SCRIPT = new URL('../../test/support/stream-dc.ts', import.meta.url)
const LOAD_SCRIPT = new URL('./load.ts', import.meta.url)

/** One run: a new data centre, a new proxy, a new load; what the proxy used between `ready` and `done`. */
export async function runOnce(
  bench: Bench,
  options: BenchOptions,
  fastMode: boolean,
  progress: ReportProgress,
): Promise<Figures> {
  await using stack = new AsyncDisposableStack()
  const dc = new Child('the data centre', DC_SCRIPT, bench.dcArguments(options))
  stack.defer(() => dc.stop())
  const dcPort = Number((await dc.next())['port'])
  const proxy = await startProxy({ workers: options.workers, reusePort: options.reusePort, fastMode, dcPort })
  stack.defer(() => proxy.stop())
  const target = JSON.stringify({ port: proxy.port, secret: proxy.secret })
  const load = new Child('the load', LOAD_SCRIPT, [bench.name, target, JSON.stringify(options)])
  stack.defer(() => load.stop())

  await load.next() // ready
  const cpuBefore = readCpuSeconds(proxy.pid)
  const rssBeforeKib = readRssKib(proxy.pid)
  load.send('go')
  const report = await awaitReport(load, progress)
  return bench.compute({
    cpu: subtractCpuSeconds(readCpuSeconds(proxy.pid), cpuBefore),
    rssBeforeKib,
    rssAfterKib: readRssKib(proxy.pid),
    load: report,
  })
}

async function awaitReport(load: Child, progress: ReportProgress): Promise<LoadReport> {
  for (;;) {
    const line = await load.next()
    if (line['event'] === 'done') return line['report'] as LoadReport // load.ts prints it so
    progress(Number(line['share']))
  }
}
