/** What the micro benches share: processor time of the thread, in rounds that take every case in turn; medians count. */
import { median } from './statistics.ts'

/** `--quick`: next to nothing, which shows that a bench works. */
export const IS_QUICK: boolean = process.argv.includes('--quick')
const ROUNDS = IS_QUICK ? 1 : 5
/** Some kernels count processor time in ticks of 4 ms: less than 2 % of a round. */
const ROUND_MS = IS_QUICK ? 5 : 250

export interface Case {
  readonly name: string
  /** What `run` does so many times; at least a hundred microseconds of work, as the clock is read in between. */
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
      for (; performance.now() < endMs; done += calls) {
        const running = run()
        if (running !== undefined) await running
      }
      const { user, system } = process.threadCpuUsage(before)
      if (round > 0) rounds[at]?.push(((user + system) * 1000) / done)
    }
  }
  return cases.map(({ name }, at) => ({ name, nsPerCall: median(rounds[at] ?? []) }))
}

/** The same call so many times. */
export function repeat(name: string, calls: number, call: () => void): Case {
  return {
    name,
    calls,
    run: () => {
      for (let i = 0; i < calls; i++) call()
    },
  }
}

/** One line each, or with `--json` one for all. */
export function printFigures(bench: string, figures: readonly Figure[]): void {
  if (process.argv.includes('--json')) return console.log(JSON.stringify({ bench, figures }))
  for (const { name, nsPerCall } of figures) {
    const digits = nsPerCall < 100 ? 1 : 0
    console.log(`${name.padEnd(44)} ${nsPerCall.toFixed(digits).padStart(10)} ns`)
  }
}
