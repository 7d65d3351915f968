import { clearProgress } from './report.ts'

/**
 * What the programs of the benches have in common: errors are one line, and an interrupt ends by 'exit', which ends the
 * proxies as well and removes what was made for them. `run` returns the exit code.
 */
export async function runProgram(run: () => Promise<number>): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  try {
    process.exit(await run())
  } catch (error) {
    clearProgress()
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}`)
    process.exit(1)
  }
}
