import { findMedians, findRatios, findSpreads, nameCount, type Series } from './series.ts'
import type { Scenario } from './scenario.ts'
import type { Spread } from './statistics.ts'

const MAX_NAME_CHARACTERS = 48

/** Only while somebody looks. */
export function showProgress(label: string, share: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${label} ${Math.floor(share * 100)} %`)
}

export function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

/** Medians in words, and with two subjects what the second costs in the first one's terms. */
export function printForPeople(scenario: Scenario, series: readonly Series[]): void {
  for (const each of series) {
    const title = `${scenario.name}, ${shorten(each.subject)}`
    for (const line of scenario.describe(findMedians(each))) {
      console.log(`${title}${nameCount(each.secretCount)}: ${line}`)
    }
  }
  for (const [first, second] of findPairs(series)) {
    console.log(
      `\n${shorten(second.subject)} / ${shorten(first.subject)}${nameCount(first.secretCount)}: min median max`,
    )
    for (const [name, ratio] of Object.entries(findRatios(first, second))) {
      console.log(`  ${name.padEnd(34)}${formatSpread(ratio)}`)
    }
  }
}

/** Commands are long. */
function shorten(subject: string): string {
  const name = subject === '' ? 'this checkout' : subject
  return name.length > MAX_NAME_CHARACTERS ? `${name.slice(0, MAX_NAME_CHARACTERS - 1)}…` : name
}

/** One line. */
export function buildJson(
  scenario: Scenario,
  series: readonly Series[],
  about: Readonly<Record<string, unknown>>,
): string {
  const pairs = findPairs(series).map(([first, second]) => ({
    secretCount: first.secretCount,
    of: second.subject,
    to: first.subject,
    ratios: findRatios(first, second),
  }))
  return JSON.stringify({
    bench: scenario.name,
    ...about,
    series: series.map((each) => ({ ...each, figures: findSpreads(each) })),
    ...(pairs.length === 0 ? {} : { compared: pairs }),
  })
}

function findPairs(series: readonly Series[]): [Series, Series][] {
  return series.flatMap((first, at) => {
    const second = series[at + 1]
    const isPair = second !== undefined && second.secretCount === first.secretCount && at % 2 === 0
    return isPair ? [[first, second] as [Series, Series]] : []
  })
}

function formatSpread({ min, median, max }: Spread): string {
  return [min, median, max]
    .map((value) => (Number.isNaN(value) ? '?' : value.toFixed(2)).padStart(8))
    .join('')
}
