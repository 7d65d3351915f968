import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Logger } from 'pino'

const COMMAND = 'systemd-notify'
/** It waits up to five seconds until the manager has read the message. */
const COMMAND_LIMIT_MS = 6_000
/** Starts, reloads and stops that nobody has heard of yet; more than a few are a manager that hangs. */
const MAX_WAITING = 16
/** A span in microseconds. */
const SPAN = /^[1-9]\d{0,15}$/
/** Node's longest timer; a longer one would fire at once, and again and again. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * Tells systemd what the process is doing (sd_notify(3), `Type=notify`). Node has no UNIX datagrams, so `systemd-notify`
 * does it, one message after the other; the unit needs `NotifyAccess=all`. Without `NOTIFY_SOCKET` nothing happens.
 * Nothing in here throws or keeps anybody waiting but who asks for it.
 */
export class ServiceManager {
  readonly #env: NodeJS.ProcessEnv
  readonly #log: Pick<Logger, 'warn'>
  readonly #isThere: boolean
  #messages: Promise<void>
  #waiting: number
  #hasFailed: boolean
  #isStopping: boolean
  #hasLeft: boolean
  #watchdog: NodeJS.Timeout | null

  constructor(env: NodeJS.ProcessEnv, log: Pick<Logger, 'warn'>) {
    this.#env = env
    this.#log = log
    this.#isThere = (env['NOTIFY_SOCKET'] ?? '') !== ''
    this.#messages = Promise.resolve()
    this.#waiting = 0
    this.#hasFailed = false
    this.#isStopping = false
    this.#hasLeft = false
    this.#watchdog = null
  }

  /** Clients are served, by this process. Resolves when the manager knows. */
  ready(): Promise<void> {
    return this.#tell('READY=1', `MAINPID=${process.pid}`, 'STATUS=Serving')
  }

  reloading(): void {
    const monotonicUs = process.hrtime.bigint() / 1000n
    void this.#tell('RELOADING=1', `MONOTONIC_USEC=${monotonicUs}`, 'STATUS=Reading the configuration')
  }

  reloaded(): void {
    void this.#tell('READY=1', 'STATUS=Serving')
  }

  /** A successor is being started. */
  upgrading(): void {
    void this.#tell('STATUS=Starting a successor')
  }

  /** It ends. What else it does until then is no news: it would be told to serve again. */
  stopping(): void {
    this.#isStopping = true
    void this.#notify('STOPPING=1', 'STATUS=Waiting for open connections to end')
  }

  /** Tell it twice in each `WatchdogSec=` that all is well, for as long as it is. */
  watch(isWell: () => Promise<boolean>): void {
    const { WATCHDOG_USEC: span = '', WATCHDOG_PID: pid } = this.#env
    if (!this.#isThere || !SPAN.test(span) || (pid !== undefined && pid !== String(process.pid))) return
    let isAsking = false
    this.#watchdog = setInterval(
      () => {
        if (isAsking) return // a thread that does not answer now may do so later; until then nobody says it is well
        isAsking = true
        void isWell()
          .then((well) => (well ? this.#notify('WATCHDOG=1') : undefined))
          .catch(() => {}) // who cannot say that all is well does not
          .finally(() => (isAsking = false))
      },
      Math.min(Number(span) / 1000 / 2, LONGEST_TIMER_MS),
    ).unref()
  }

  /**
   * Another process speaks for the service from now on, or nobody. Resolves when what was said before is known: the end of
   * the process would take it along.
   */
  leave(): Promise<void> {
    this.#hasLeft = true
    if (this.#watchdog !== null) clearInterval(this.#watchdog)
    this.#watchdog = null
    return this.#messages
  }

  /** While it does not stop. */
  #tell(...assignments: readonly string[]): Promise<void> {
    return this.#isStopping ? this.#messages : this.#notify(...assignments)
  }

  #notify(...assignments: readonly string[]): Promise<void> {
    if (!this.#isThere || this.#hasLeft || this.#waiting >= MAX_WAITING) return Promise.resolve()
    this.#waiting += 1
    this.#messages = this.#messages
      .then(() => this.#run(assignments))
      .catch((error: unknown) => this.#fail(error))
      .finally(() => (this.#waiting -= 1))
    return this.#messages
  }

  async #run(assignments: readonly string[]): Promise<void> {
    const command = await findCommand(this.#env['PATH'] ?? '')
    const stdio = ['ignore', 'ignore', 'ignore'] as const
    const child = spawn(command, assignments, {
      stdio: [...stdio],
      env: this.#env,
      timeout: COMMAND_LIMIT_MS,
    })
    child.unref()
    const failure = await whyItFailed(child)
    if (failure !== null) throw new Error(failure)
  }

  #fail(error: unknown): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    const reason = error instanceof Error ? error.message : String(error)
    this.#log.warn({ error: reason }, 'the service manager cannot be told what this process does')
  }
}

async function findCommand(path: string): Promise<string> {
  for (const folder of path.split(delimiter)) {
    const command = join(folder, COMMAND)
    const isThere = await access(command, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isThere) return command
  }
  throw new Error(`${COMMAND} is not in PATH`)
}

/** null: it went well. */
function whyItFailed(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) =>
      resolve(code === 0 ? null : `${COMMAND}: ${signal ?? `exit code ${code}`}`),
    )
  })
}
