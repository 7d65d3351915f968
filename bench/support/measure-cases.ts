/** Micro-benches: processor time of the thread, in rounds that take every case in turn; the median round counts. */

const ROUNDS = 5
/** Some kernels count processor time in ticks of 4 ms: less than 2 % of a round. */
const ROUND_MS = 250

export interface Case {
  readonly name: string
  /** What `run` does so many times. */
  readonly calls: number
  readonly run: () => void | Promise<void>
}

export interface Figure {
  readonly name: string
  readonly nsPerCall: number
}

/** The first round warms up and is not counted. */
export async function measureCases(cases: readonly Case[]): Promise<Figure[]> {
  const rounds = cases.map((): number[] => [])
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [at, { calls, run }] of cases.entries()) {
      const before = process.threadCpuUsage()
      const endMs = performance.now() + ROUND_MS
      let done = 0
      for (; performance.now() < endMs; done += calls) await run()
      const { user, system } = process.threadCpuUsage(before)
      if (round > 0) rounds[at]?.push(((user + system) * 1000) / done)
    }
  }
  return cases.map(({ name }, at) => ({ name, nsPerCall: median(rounds[at] ?? []) }))
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
