import type { TestContext } from 'node:test'
import { stopExactly } from '../support/exactness.ts'
import { startRecordingSite, type RecordingSite } from '../support/front-site.ts'
import { startTestProxy, type TestProxy, type TestProxyOptions } from '../support/proxy.ts'
import { startStreamDc, type DcMode, type StreamDc } from '../support/stream-dc.ts'

/** Nothing on one machine takes this long unless it hangs. */
export const LIVENESS_LIMIT_MS = 15_000
export const HOST = 'front.test'

/** A user's secret as in a link; the key is made from `seed`, so that a failure can be repeated. */
export function makeSecret(seed: number, host: string = HOST): string {
  const key = Buffer.alloc(16, 0xa5)
  key.writeUInt32BE(seed)
  return `ee${key.toString('hex')}${Buffer.from(host, 'latin1').toString('hex')}`
}

export interface World {
  readonly proxy: TestProxy
  /** Data centre 2. */
  readonly dc: StreamDc
  /** Where everybody without a secret ends up. */
  readonly site: RecordingSite
  readonly secret: string
}

export interface WorldOptions extends Partial<TestProxyOptions> {
  readonly dcMode?: DcMode
  readonly dcBytes?: number
}

/** A proxy with one user, one data centre and one site, which all end with the test. */
export async function startWorld(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const { dcMode = 'echo', dcBytes, ...rest } = options
  const secret = makeSecret(1)
  const dc = await startStreamDc({ mode: dcMode, ...(dcBytes === undefined ? {} : { bytes: dcBytes }) })
  t.after(() => dc.close())
  const site = await startRecordingSite()
  t.after(() => site.close())
  const proxy = await startProxyIn(t, {
    users: { alice: secret },
    dcs: { 2: [{ host: '127.0.0.1', port: dc.port }] },
    fronting: { host: '127.0.0.1', port: site.port },
    ...rest,
  })
  return { proxy, dc, site, secret }
}

/** A proxy that ends with the test, and has nobody left then. */
export async function startProxyIn(t: TestContext, options: TestProxyOptions): Promise<TestProxy> {
  const proxy = await startTestProxy(options)
  t.after(() => stopExactly(proxy))
  return proxy
}

/** Poll what has no event of its own; rejects when it does not come to be. */
export async function waitUntil(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const giveUpMs = performance.now() + LIVENESS_LIMIT_MS
  while (!(await condition())) {
    if (performance.now() > giveUpMs) throw new Error(`never came to be: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

/** The value of one Prometheus series, 0 when it is not shown. `labels` in any order. */
export function readMetric(text: string, name: string, labels: Record<string, string> = {}): number {
  let sum = 0
  for (const line of text.split('\n')) {
    const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (match?.[1] !== name) continue
    const found = match[2] ?? ''
    if (Object.entries(labels).every(([label, value]) => found.includes(`${label}="${value}"`)))
      sum += Number(match[3])
  }
  return sum
}

/** Wait for a Prometheus series to have a value. */
export async function waitMetric(
  proxy: TestProxy,
  name: string,
  labels: Record<string, string>,
  value: number,
): Promise<void> {
  let last = Number.NaN
  try {
    await waitUntil(async () => {
      last = readMetric(await proxy.metrics(), name, labels)
      return last === value
    }, name)
  } catch {
    throw new Error(`${name}${JSON.stringify(labels)} is ${last}, not ${value}`)
  }
}

/** Run the jobs, so many at a time. */
export async function runInBatches<T>(
  items: readonly T[],
  width: number,
  job: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values()
  const run = async (): Promise<void> => {
    for (const item of queue) await job(item)
  }
  await Promise.all(Array.from({ length: width }, run))
}
