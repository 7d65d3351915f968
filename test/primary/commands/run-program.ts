import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../../packages/primary/main.ts', import.meta.url))
/** Liveness only: a start takes well below a second on an idle machine. */
export const LIMIT_MS = 30_000

/** A running program, with what it has written so far. */
export class Program {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  readonly #exit: Promise<number | null>

  constructor(child: ChildProcess) {
    this.child = child
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.#exit = once(child, 'close').then(([code]: unknown[]) => (typeof code === 'number' ? code : null))
  }

  /** The exit code, when both outputs have ended; null after death by a signal. */
  exit(): Promise<number | null> {
    return this.#exit
  }

  /** Resolves when stdout has the text; rejects if the program ends without it. */
  async waitFor(text: string): Promise<void> {
    const ended = this.#exit.then(() => 'ended' as const)
    while (!this.stdout.includes(text)) {
      const news = await Promise.race([ended, once(this.child.stdout ?? this.child, 'data')])
      if (news === 'ended' && !this.stdout.includes(text))
        throw new Error(`ended without ${text}: ${this.stdout}${this.stderr}`)
    }
  }

  /** Of stdout, as far as they have come whole: one that is longer than a pipe's page may come in pieces. */
  get lines(): string[] {
    const lines = this.stdout.split('\n')
    const rest = lines.pop() ?? ''
    // Nothing follows any more: what it ends with is what it said.
    return (rest !== '' && this.child.stdout?.readableEnded === true ? [...lines, rest] : lines).filter(
      (line) => line !== '',
    )
  }

  /** The lines of the log. Throws if stdout is anything but JSON lines. */
  log(): Record<string, unknown>[] {
    return this.lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  }
}

/** Start the program as an operator does, in a directory of its own. Killed when the test ends. */
export function startProgram(
  t: TestContext,
  args: readonly string[],
  options: { cwd?: string; nodeArgs?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
): Program {
  const child = spawn(process.execPath, [...(options.nodeArgs ?? []), MAIN, ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  return new Program(child)
}

/** Run the program to its end. */
export async function runProgram(
  t: TestContext,
  args: readonly string[],
  options: { cwd?: string; nodeArgs?: readonly string[] } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const program = startProgram(t, args, options)
  const code = await program.exit()
  return { code, stdout: program.stdout, stderr: program.stderr }
}
