import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

/** Liveness only. */
const LIMIT_MS = 30_000
const POLL_MS = 25

/** Somebody else's program, running beside ours. */
export class Peer {
  readonly child: ChildProcess
  /** Both outputs, as they came. */
  output = ''
  readonly #name: string

  constructor(name: string, child: ChildProcess) {
    this.#name = name
    this.child = child
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.output += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.output += text))
  }

  /** Resolves when somebody accepts TCP connections there; rejects when the program ends before. */
  async waitForPort(port: number, host = '127.0.0.1'): Promise<void> {
    await this.waitUntil(() => accepts(port, host), `accepting on ${host}:${port}`)
  }

  async waitUntil(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const giveUpMs = performance.now() + LIMIT_MS
    while (!(await condition())) {
      const { exitCode, signalCode } = this.child
      if (exitCode !== null || signalCode !== null)
        throw new Error(`${this.#name} ended (${exitCode ?? signalCode}) before ${what}: ${this.output}`)
      if (performance.now() > giveUpMs) throw new Error(`${this.#name} never came to ${what}: ${this.output}`)
      await sleep(POLL_MS)
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = once(this.child, 'close')
    this.child.kill(signal)
    await ended
  }
}

/** Whoever ends what was started: a test, or a script. */
export type Owner = Pick<TestContext, 'after'>

/**
 * Start a server of Debian's in the foreground; it is killed when the test ends.
 * @param command found on PATH, /usr/sbin included, where Debian keeps servers
 */
export function startPeer(
  t: Owner,
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Peer {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...withServers(), ...options.env },
  })
  const peer = new Peer(command, child)
  child.once(
    'error',
    (error) => (peer.output += `${error.message}: is Debian's package installed? See .ci/run`),
  )
  t.after(() => peer.stop('SIGKILL'))
  return peer
}

/** Run a program of Debian's to its end. Throws with its output when it fails. */
export function runPeer(command: string, args: readonly string[], input = ''): string {
  return execFileSync(command, args, {
    encoding: 'utf8',
    env: withServers(),
    input,
    stdio: 'pipe',
    timeout: LIMIT_MS,
  })
}

function withServers(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` }
}

async function accepts(port: number, host: string): Promise<boolean> {
  const socket = connect(port, host)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
