import { readdirSync, readlinkSync } from 'node:fs'
import { get } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { StatsJson } from './proxy.ts'

/** Nothing tells when a descriptor is gone or a number has been published: they are looked at this often. */
const POLL_MS = 20
/** How long what must come may take: a limit on hanging, not on speed. */
export const LIVENESS_LIMIT_MS = 10_000

/** Open sockets, pipes and event descriptors of a process, all threads together, without regular files. Linux. */
export function countDescriptors(pid: number | 'self' = 'self'): number {
  const folder = `/proc/${pid}/fd`
  return readdirSync(folder).filter((descriptor) => {
    try {
      return !readlinkSync(`${folder}/${descriptor}`).startsWith('/')
    } catch {
      return false // closed meanwhile: the listing's own
    }
  }).length
}

/** Resolves as soon as the value satisfies the condition, with it; rejects after the limit. */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  isRight: (value: T) => boolean,
  limitMs: number = LIVENESS_LIMIT_MS,
): Promise<T> {
  const giveUpMs = performance.now() + limitMs
  for (;;) {
    const value = await look()
    if (isRight(value)) return value
    if (performance.now() > giveUpMs) throw new Error(`${what} never came to be: ${JSON.stringify(value)}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

/** `/stats` over a connection of its own: one that is kept alive would count as a descriptor. */
export async function fetchStats(apiPort: number): Promise<StatsJson> {
  return JSON.parse(await fetchText(apiPort, '/stats')) as StatsJson
}

export function fetchText(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve(text))
      response.on('error', reject)
    }).on('error', reject)
  })
}

/** The sum of all series of a Prometheus metric, or of those that have these labels, spelt as they are exposed. */
export function sumMetric(exposition: string, name: string, labels = ''): number {
  let sum = 0
  for (const line of exposition.split('\n')) {
    const found = /^(\w+)(\{.*\})? (\S+)$/.exec(line)
    if (found?.[1] === name && (found[2] ?? '').includes(labels)) sum += Number(found[3])
  }
  return sum
}

/** Bytes on this thread's JavaScript heap after a full collection, buffers outside of it included. */
export function measureHeap(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void // --expose-gc puts it into every new context
  // The second one takes what only finalizers of the first one let go.
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** What keeps this thread alive: timers, sockets, ports, by kind. */
export function countResources(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}
