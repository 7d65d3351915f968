import type { CheckResult, LineMark } from './check.ts'

/** As the reference marks its lines (operator.md §3). */
const SIGNS: Readonly<Record<LineMark, string>> = { ok: '✅', warn: '⚠️', fail: '❌', error: '‼️', skip: '⏭' }

/** A heading, an indented line for each finding, and what to do. */
export function formatResult(result: CheckResult): string {
  const lines = result.lines.map((line) => `  ${SIGNS[line.mark]} ${line.text}\n`)
  const advice = result.advice.map((text) => `     → ${text}\n`)
  return [`${result.title}\n`, ...lines, ...advice].join('')
}

/** One object for machines: the worst status, and every result. */
export function formatResultsAsJson(results: readonly CheckResult[]): string {
  const checks = results.map(({ id, title, status, lines, advice }) => ({ id, title, status, lines, advice }))
  return `${JSON.stringify({ status: findWorst(results), checks }, null, 2)}\n`
}

export function findWorst(results: readonly CheckResult[]): 'ok' | 'warn' | 'fail' {
  if (results.some((result) => result.status === 'fail')) return 'fail'
  return results.some((result) => result.status === 'warn') ? 'warn' : 'ok'
}
