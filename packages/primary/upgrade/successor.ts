import { type ChildProcess, spawn } from 'node:child_process'
import { Heard, whenAborted } from './heard.ts'
import { announce, type Inheritance, readMessage, type UpgradeMessage } from './messages.ts'

/** Behind stdin, stdout, stderr and the channel. */
const FIRST_HANDED_FD = 4

/** The process that is to take our place, seen from us. */
export class Successor {
  /** Resolves with the reason when it is gone. */
  readonly ended: Promise<string>
  readonly #child: ChildProcess
  readonly #heard: Heard

  private constructor(child: ChildProcess, onHellos: (entries: Uint8Array) => void) {
    this.#child = child
    this.#heard = new Heard()
    this.ended = new Promise((resolve) => {
      child.on('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? `exit code ${code}`}`))
    })
    child.on('message', (message) => {
      const read = readMessage(message)
      if (read?.type === 'hellos') onHellos(read.entries)
      else if (read !== null) this.#heard.add(read.type)
    })
  }

  /**
   * Start the same program once more: same command, directory and environment, and what it inherits.
   * @param args of Node, in place of our own
   */
  static start(
    inheritance: Inheritance,
    env: NodeJS.ProcessEnv,
    onHellos: (entries: Uint8Array) => void,
    args: readonly string[] = [...process.execArgv, ...process.argv.slice(1)],
  ): Successor {
    const sockets = inheritance.sockets.map((socket, index) => ({ ...socket, fd: FIRST_HANDED_FD + index }))
    const child = spawn(process.execPath, args, {
      env: { ...env, ...announce({ ...inheritance, sockets }) },
      serialization: 'advanced', // hellos are bytes
      stdio: ['inherit', 'inherit', 'inherit', 'ipc', ...inheritance.sockets.map(({ fd }) => fd)],
    })
    return new Successor(child, onHellos)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /**
   * Resolves when it has said this.
   * @throws Error when it ends before; what `signal` says when that fires
   */
  async says(type: UpgradeMessage['type'], signal: AbortSignal): Promise<void> {
    const gone = this.ended.then((reason) => Promise.reject(new Error(reason)))
    gone.catch(() => {})
    await Promise.race([this.#heard.when(type), gone, whenAborted(signal)])
  }

  /** Resolves when it has been written into the channel. @throws Error when there is none any more */
  send(message: UpgradeMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#child.send(message, (error) => (error === null ? resolve() : reject(error)))
    })
  }

  /** End it at once: it serves nobody. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
