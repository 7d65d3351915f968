/** How bad it is. A failure makes the command exit with 1, a warning does not (decision O7). */
export type CheckStatus = 'ok' | 'warn' | 'fail' | 'skip'

/** `error`: the check could not be made, which counts as a failure. */
export type LineMark = CheckStatus | 'error'

export interface CheckLine {
  readonly mark: LineMark
  /** One line, no secrets. */
  readonly text: string
}

/** What a check found, and what to do about it. */
export interface Findings {
  readonly lines: readonly CheckLine[]
  /** One sentence each; empty when there is nothing to do. */
  readonly advice: readonly string[]
}

export interface Check {
  /** Stable, for scripts. */
  readonly id: string
  readonly title: string
  /** For the whole check; what it waits for by itself is shorter. */
  readonly timeoutMs: number
  /** Stops to wait when `signal` fires. What it throws is reported as a check that could not be made. */
  readonly run: (signal: AbortSignal) => Promise<Findings>
}

export interface CheckResult extends Findings {
  readonly id: string
  readonly title: string
  readonly status: CheckStatus
}

/** Run one check to its end or its timeout. Never rejects: other checks go on whatever happens to this one. */
export async function runCheck({ id, title, timeoutMs, run }: Check): Promise<CheckResult> {
  const limit = new AbortController()
  const late = Promise.withResolvers<Findings>()
  const timer = setTimeout(() => {
    limit.abort()
    late.resolve(reportError(`timed out after ${timeoutMs} ms`))
  }, timeoutMs)
  try {
    const findings = await Promise.race([run(limit.signal), late.promise])
    return { id, title, status: judge(findings.lines), ...findings }
  } catch (error) {
    const findings = reportError(error instanceof Error ? error.message : String(error))
    return { id, title, status: 'fail', ...findings }
  } finally {
    clearTimeout(timer)
  }
}

function reportError(text: string): Findings {
  return { lines: [{ mark: 'error', text }], advice: [] }
}

/** As bad as the worst line. */
export function judge(lines: readonly CheckLine[]): CheckStatus {
  const marks = new Set(lines.map((line) => line.mark))
  if (marks.has('fail') || marks.has('error')) return 'fail'
  if (marks.has('warn')) return 'warn'
  return marks.has('ok') || marks.size === 0 ? 'ok' : 'skip'
}
