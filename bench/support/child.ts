import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

type LineProcess = ChildProcessByStdio<Writable, Readable, null>

/** A Node program that speaks JSON lines on stdout, takes lines on stdin and ends when stdin does. */
export class Child {
  readonly #process: LineProcess
  readonly #name: string
  readonly #lines: AsyncIterator<string>

  /** @param options.isApart it has a session of its own, by which Linux may share processors out */
  constructor(name: string, script: URL, args: readonly string[], { isApart = false } = {}) {
    this.#name = name
    this.#process = spawn(process.execPath, [script.pathname, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: isApart,
    })
    // Writing to a child that died is reported by the missing answer.
    this.#process.stdin.on('error', () => {})
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]()
  }

  send(line: string): void {
    this.#process.stdin.write(`${line}\n`)
  }

  /** The next line, parsed. Rejects when the program ends instead, or says that it failed. */
  async next(): Promise<Record<string, unknown>> {
    const { done, value } = await this.#lines.next()
    if (done) throw new Error(`${this.#name} ended early`)
    const line = JSON.parse(value) as Record<string, unknown> // our own programs print objects alone
    if (line['event'] === 'failed') throw new Error(`${this.#name}: ${String(line['message'])}`)
    return line
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.stdin.end()
    await exited
  }
}
