import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { Fault } from '../support/faults.ts'
import { fetchStats, fetchText } from '../support/process-state.ts'
import type { StatsJson } from '../support/proxy.ts'
import { patiently } from './patiently.ts'
import { WORKERS, type Ports, type ProgramFile, type Settings } from './config-file.ts'
import type { Answer, Order, Vitals } from './inside.ts'

type LogLine = Record<string, unknown>

/** The program as an operator starts it, with a configuration file, and a look inside (inside.ts). */
export class Program {
  /** Lines at level warn and above. */
  readonly complaints: LogLine[]
  readonly #child: ChildProcess
  readonly #file: ProgramFile
  readonly #stderr: Promise<string>
  readonly #exited: Promise<unknown>
  readonly #answers: Map<number, (vitals: Vitals | null) => void>
  #orders: number
  #reloads: number
  #isUp: boolean

  constructor(child: ChildProcess, file: ProgramFile) {
    this.complaints = []
    this.#child = child
    this.#file = file
    this.#stderr = text(child.stderr!)
    this.#exited = once(child, 'exit')
    this.#answers = new Map()
    this.#orders = 0
    this.#reloads = 0
    this.#isUp = false
    createInterface(child.stdout!).on('line', (line) => this.#readLog(JSON.parse(line) as LogLine))
    child.on('message', ({ id, vitals }: Answer) => {
      this.#answers.get(id)?.(vitals)
      this.#answers.delete(id)
    })
  }

  get ports(): Ports {
    return this.#file.ports
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** Null while it runs. */
  get exitCode(): number | null {
    return this.#child.exitCode
  }

  stats(): Promise<StatsJson> {
    return fetchStats(this.#file.ports.api)
  }

  metrics(): Promise<string> {
    return fetchText(this.#file.ports.metrics, '/')
  }

  async untilReady(): Promise<void> {
    await patiently(
      'readiness',
      () => fetchText(this.#file.ports.api, '/health/ready').catch(() => ''),
      (answer) => answer === 'ok\n',
    )
  }

  async untilUp(): Promise<void> {
    await patiently(
      'the start',
      () => this.#isUp || this.exitCode !== null,
      (isOver) => isOver,
    )
    if (this.exitCode !== null) throw new Error(`the program ended: ${await this.#stderr}`)
    await this.#order({ kind: 'attach', proxyPort: this.#file.ports.proxy })
  }

  /** As an operator does: write the file, send SIGHUP, wait for the log. */
  async reload(settings: Settings): Promise<void> {
    const before = this.#reloads
    this.#file.write(settings)
    this.#child.kill('SIGHUP')
    await patiently(
      'the reload',
      () => this.#reloads,
      (reloads) => reloads > before,
    )
  }

  inject(thread: number, fault: Fault): Promise<unknown> {
    return this.#order({ kind: 'inject', thread, fault })
  }

  async measure(): Promise<Vitals> {
    const vitals = await this.#order({ kind: 'measure', threads: WORKERS })
    if (vitals === null) throw new Error('no vitals')
    return vitals
  }

  /** Resident set, bytes. */
  rssBytes(): number {
    const [, kibibytes = '0'] =
      /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'latin1')) ?? []
    return Number(kibibytes) * 1024
  }

  /** Processor time so far, seconds, of all threads. */
  cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100 // utime and stime in ticks of USER_HZ, 100 on Linux
  }

  /** SIGTERM, then what it left on stderr. */
  async stop(): Promise<{ code: number | null; stderr: string }> {
    this.#child.kill('SIGTERM')
    await this.#exited
    return { code: this.exitCode, stderr: await this.#stderr }
  }

  /** End it, whatever it does. @returns what it left on stderr */
  async kill(): Promise<string> {
    this.#child.kill('SIGKILL')
    await this.#exited
    return this.#stderr
  }

  #order(order: DistributiveOmit<Order, 'id'>): Promise<Vitals | null> {
    this.#orders += 1
    const id = this.#orders
    return new Promise((resolve, reject) => {
      this.#answers.set(id, resolve)
      this.#child.send({ ...order, id }, (error) => error && reject(error))
    })
  }

  #readLog(line: LogLine): void {
    if (line['message'] === 'configuration has been reloaded') this.#reloads += 1
    if (line['message'] === 'proxy has been started') this.#isUp = true
    if (line['level'] === 'warn' || line['level'] === 'error') this.complaints.push(line)
  }
}

/** `Omit` would make one shape of all members of a union. */
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

export async function startProgram(file: ProgramFile, settings: Settings): Promise<Program> {
  file.write(settings)
  const inside = new URL('inside.ts', import.meta.url).href
  const main = new URL('../../packages/primary/main.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--import', inside, main, 'run', file.path], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const program = new Program(child, file)
  await program.untilUp()
  return program
}
