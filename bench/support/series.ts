import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, release } from 'node:os'

import { OWN_DIRECTORY } from './proxy-process.ts'
import { type RunOptions, runOnce } from './run-once.ts'
import type { Figures, Scenario, SecretCount } from './scenario.ts'
import { median, round, spread, type Spread, spreadOfRatios } from './statistics.ts'
import type { Subject } from './subject.ts'

/** Runs of one subject, oldest first. */
export interface Series {
  readonly subject: string
  readonly secretCount: SecretCount
  readonly runs: Figures[]
}

export interface SeriesOptions extends Omit<RunOptions, 'secretCount'> {
  readonly runs: number
  readonly secretCounts: readonly SecretCount[]
}

/** Subjects take turns, run by run: what else happens on the machine then hits all of them. */
export async function runSeries(
  scenario: Scenario,
  subjects: readonly Subject[],
  options: SeriesOptions,
  progress: (label: string, share: number) => void,
): Promise<Series[]> {
  const all: Series[] = []
  for (const secretCount of options.secretCounts) {
    const turn = subjects.map((subject) => ({ subject, runs: [] as Figures[] }))
    for (let run = 1; run <= options.runs; run += 1) {
      for (const { subject, runs } of turn) {
        const label = `${scenario.name} ${run}/${options.runs} ${subject.name}${nameCount(secretCount)}`
        progress(label, 0)
        const figures = await runOnce(scenario, subject, { ...options, secretCount }, (share) =>
          progress(label, share),
        )
        runs.push(Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, round(value)])))
      }
    }
    all.push(...turn.map(({ subject, runs }) => ({ subject: subject.name, secretCount, runs })))
  }
  return all
}

export function nameCount(secretCount: SecretCount): string {
  return secretCount === 1 ? '' : `, ${secretCount} secrets`
}

/** Each figure for itself. */
export function findSpreads({ runs }: Series): Record<string, Spread> {
  const names = Object.keys(runs[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, roundSpread(spread(column(runs, name)))]))
}

export function findMedians({ runs }: Series): Figures {
  const names = Object.keys(runs[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, median(column(runs, name))]))
}

/** Of the second to the first, run by run. */
export function findRatios(first: Series, second: Series): Record<string, Spread> {
  const names = Object.keys(first.runs[0] ?? {})
  return Object.fromEntries(
    names.map((name) => [
      name,
      roundSpread(spreadOfRatios(column(second.runs, name), column(first.runs, name))),
    ]),
  )
}

function column(runs: readonly Figures[], name: string): number[] {
  return runs.map((figures) => figures[name] ?? Number.NaN)
}

function roundSpread({ min, median, max }: Spread): Spread {
  return { min: round(min), median: round(median), max: round(max) }
}

/** What a number is good for. */
export function describeMachine(): Record<string, string | number> {
  return {
    node: process.versions.node,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    kernel: release(),
    revision: describeRevision(),
  }
}

function describeRevision(): string {
  try {
    const args = ['-C', OWN_DIRECTORY, 'describe', '--always', '--dirty']
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown' // an installed package has no history
  }
}
