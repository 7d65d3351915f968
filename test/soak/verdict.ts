import { readFileSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { parseTotals } from '#primary/state-file/totals'
import { sumMetric } from '../support/process-state.ts'
import type { StatsJson } from '../support/proxy.ts'
import type { StatsdServer } from '../support/statsd-server.ts'
import type { Vitals } from './inside.ts'
import { METERED_USER } from './config-file.ts'
import type { Model } from './model.ts'
import type { Program } from './program.ts'
import type { Moment } from './soak.ts'
import { patiently } from './patiently.ts'

/** Users who are there from the beginning to the end. */
export const STEADY_USERS: readonly string[] = ['anna', 'boris', 'clara', 'rough']
export const ROUGH_USERS: readonly string[] = ['rough']
/** After the first quarter, which warms up. V8 keeps what it compiles, and threads that die leave some of the allocator's arenas. */
const RSS_GROWTH_MIB = 48
/** Heaps after a full collection, all threads together: what compiled code and feedback may grow by. */
const HEAP_GROWTH_MIB = 8
/**
 * The main thread is not kept from its sockets for longer, 99 times of 100: so long, or as long as the clients' process
 * times so much, since a busy machine keeps everybody waiting.
 */
const LOOP_DELAY_P99_MS = 50
const LOOP_DELAY_FACTOR = 3

export interface Ending {
  readonly program: Program
  readonly model: Model
  readonly statsd: StatsdServer
  readonly stateFile: string
  readonly deaths: number
  readonly before: { readonly descriptors: number; readonly vitals: Vitals }
  readonly moments: readonly Moment[]
  readonly settledDescriptors: () => Promise<number>
}

export interface Verdict {
  readonly problems: string[]
  readonly counters: Record<string, string>
}

/** The model's name → series of the exporter, spelt as exposed. */
const SERIES: readonly (readonly [name: string, metric: string, labels: string])[] = [
  ['traffic up', 'mtg_telegram_traffic', 'direction="from_client"'],
  ['traffic down', 'mtg_telegram_traffic', 'direction="to_client"'],
  ['front up', 'mtg_domain_fronting_traffic', 'direction="from_client"'],
  ['front down', 'mtg_domain_fronting_traffic', 'direction="to_client"'],
  ['fronted', 'mtg_domain_fronting', ''],
  ['replay', 'mtg_replay_attacks', ''],
  ['blocked', 'mtg_ip_blocklisted', 'ip_list="blocklist"'],
  ...['ok', 'refused', 'replay', 'digest', 'record-type', 'peer-closed'].map(
    (outcome) => [outcome, 'mtg_handshakes', `outcome="${outcome}"`] as const,
  ),
]
const GAUGES = [
  'client_connections',
  'telegram_connections',
  'domain_fronting_connections',
  'worker_connections',
]
/** Nothing of this load may cause them. */
const NEVER = [
  'concurrency_limited',
  'accept_errors',
  'state_save_failures',
  'replay_set_evictions',
  'iplist_update_failures',
]

/** Bytes of each user in `/stats`. @param extent a session that goes on has bytes that nobody has booked yet */
export function compareUsers({ users }: StatsJson, model: Model, extent: 'exactly' | 'at least'): string[] {
  return Object.entries(users).flatMap(([name, numbers]) =>
    (
      [
        ['up', numbers.bytes_in],
        ['down', numbers.bytes_out],
      ] as const
    ).flatMap(([way, counted]) => {
      const { low, high } = model.of(`${way} ${name}`)
      const isRight = counted >= low && (extent === 'at least' || counted <= high)
      return isRight ? [] : [`/stats: ${name} ${way}: ${counted}, not ${low} to ${high}`]
    }),
  )
}

export async function compareAtEnd(ending: Ending): Promise<Verdict> {
  const { program, model, statsd, before, deaths } = ending
  const problems: string[] = []
  const counters: Record<string, string> = {}
  const expect = (what: string, value: number, low: number, high = low): void => {
    counters[what] = low === high ? String(value) : `${value} of ${low} to ${high}`
    if (!(value >= low && value <= high))
      problems.push(`${what}: ${value}, not ${low === high ? low : `${low} to ${high}`}`)
  }

  const stats = await patiently(
    'no connection',
    () => program.stats(),
    ({ total_connections: total }) => total === 0,
  )
  // Gauges and the last counts are published four times a second.
  const readGauges = async (): Promise<(readonly [string, number])[]> => {
    const text = await program.metrics()
    return GAUGES.map((gauge) => [gauge, sumMetric(text, `mtg_${gauge}`)])
  }
  await patiently('gauges at 0', readGauges, (gauges) => gauges.every(([, value]) => value === 0)).catch(
    (error: unknown) => problems.push(String(error)),
  )
  const metrics = await program.metrics()
  problems.push(...compareUsers(stats, model, 'exactly'))
  for (const [name, { connections, bytes_in: up, bytes_out: down }] of Object.entries(stats.users)) {
    expect(`${name} connections`, connections, 0)
    const [ups, downs, refused] = [
      model.of(`up ${name}`),
      model.of(`down ${name}`),
      model.of(`refused ${name}`),
    ]
    counters[`${name} up`] = `${up} of ${ups.low} to ${ups.high}`
    counters[`${name} down`] = `${down} of ${downs.low} to ${downs.high}`
    if (!STEADY_USERS.includes(name) && name !== 'greedy') continue // a guest who comes back counts from 0 in metrics
    expect(
      `${name} refused`,
      sumMetric(metrics, 'mtg_user_refusals', `user="${name}"`),
      refused.low,
      refused.high,
    )
    for (const [direction, { low, high }] of [
      ['from_client', ups],
      ['to_client', downs],
    ] as const)
      expect(
        `user_bytes ${name} ${direction}`,
        sumMetric(metrics, 'mtg_user_bytes', `user="${name}",direction="${direction}"`),
        low,
        high,
      )
  }
  const [meteredUp, meteredDown] = [model.of(`up ${METERED_USER}`), model.of(`down ${METERED_USER}`)]
  const quotaUse = { low: meteredUp.low + meteredDown.low, high: meteredUp.high + meteredDown.high }
  expect(
    'user_quota_used_bytes',
    sumMetric(metrics, 'mtg_user_quota_used_bytes', `user="${METERED_USER}"`),
    quotaUse.low,
    quotaUse.high,
  )
  for (const [name, metric, labels] of SERIES) {
    const { low, high } = model.of(name)
    expect(labels === '' ? metric : `${metric} ${labels}`, sumMetric(metrics, metric, labels), low, high)
  }
  for (const name of NEVER) expect(name, sumMetric(metrics, `mtg_${name}`), 0)
  expect('worker_restarts', sumMetric(metrics, 'mtg_worker_restarts'), deaths)

  const descriptors = await ending.settledDescriptors()
  if (descriptors > before.descriptors)
    problems.push(`${descriptors} descriptors, ${before.descriptors} before`)
  const after = await program.measure()
  problems.push(...compareResources(before.vitals, after), ...compareMoments(ending.moments))

  const { code, stderr } = await program.stop()
  if (code !== 0 || stderr !== '') problems.push(`ended with ${code}: ${stderr}`)
  const kept = parseTotals(readFileSync(ending.stateFile, 'utf8'))
  expect('state file, quota', kept?.get(METERED_USER)?.quota?.usedBytes ?? -1, quotaUse.low, quotaUse.high)
  for (const [name, { bytesIn, bytesOut }] of kept ?? []) {
    const [ups, downs] = [model.of(`up ${name}`), model.of(`down ${name}`)]
    expect(`state file ${name} up`, bytesIn, ups.low, ups.high)
    expect(`state file ${name} down`, bytesOut, downs.low, downs.high)
  }
  if (kept === null) problems.push('the state file cannot be read')
  await takeAll(statsd)
  compareStatsd(statsd, metrics, expect)
  for (const line of program.complaints) if (!isExpected(line)) problems.push(`log: ${JSON.stringify(line)}`)
  return { problems, counters }
}

/** All that the program has sent is there by its end; a turn takes some of it. */
async function takeAll({ datagrams }: StatsdServer): Promise<void> {
  for (let before = -1; before < datagrams.length;) {
    before = datagrams.length
    await nextTurn()
  }
}

/** Every rise of every counter has been sent. */
function compareStatsd(
  statsd: StatsdServer,
  metrics: string,
  expect: (what: string, value: number, low: number) => void,
): void {
  const values = statsd.values('datadog')
  const sum = (metric: string, label: string): number =>
    values
      .entries()
      .filter(([key]) => key.startsWith(`${metric}{`) && key.includes(label))
      .reduce((total, [, value]) => total + value, 0)
  for (const [metric, direction] of [
    ['telegram_traffic', 'from_client'],
    ['telegram_traffic', 'to_client'],
    ['domain_fronting_traffic', 'to_client'],
  ] as const) {
    const shown = sumMetric(metrics, `mtg_${metric}`, `direction="${direction}"`)
    expect(`StatsD ${metric} ${direction}`, sum(`mtg.${metric}`, `direction=${direction}`), shown)
  }
}

/** What keeps threads alive. */
function compareResources(before: Vitals, after: Vitals): string[] {
  return after.resources.flatMap((resources, thread) =>
    Object.entries(resources).flatMap(([kind, count]) => {
      const earlier = before.resources[thread]?.[kind] ?? 0
      return count > earlier + 1 ? [`thread ${thread}: ${count} of ${kind}, ${earlier} before`] : []
    }),
  )
}

function compareMoments(moments: readonly Moment[]): string[] {
  const warm = moments.slice(Math.floor(moments.length / 4))
  const [first, last] = [warm[0], warm.at(-1)]
  if (first === undefined || last === undefined) return []
  const problems: string[] = []
  if (last.rssMib - first.rssMib > RSS_GROWTH_MIB)
    problems.push(`the resident set has grown from ${first.rssMib} to ${last.rssMib} MiB`)
  if (last.heapMib - first.heapMib > HEAP_GROWTH_MIB)
    problems.push(`the heaps have grown from ${first.heapMib} to ${last.heapMib} MiB`)
  const slow = moments.filter(
    ({ loopDelayMs: { p99 }, ownLoopDelayP99Ms: own }) =>
      p99 > Math.max(LOOP_DELAY_P99_MS, LOOP_DELAY_FACTOR * own),
  )
  for (const { minute, loopDelayMs, ownLoopDelayP99Ms } of slow)
    problems.push(
      `minute ${minute}: event-loop delay ${JSON.stringify(loopDelayMs)}, ${ownLoopDelayP99Ms} ms in the clients' process`,
    )
  return problems
}

const EXPECTED_IN_LOG = ['worker thread died', 'replay attack has been detected!', 'throttle activated']

function isExpected({ message }: Record<string, unknown>): boolean {
  return EXPECTED_IN_LOG.includes(String(message))
}
