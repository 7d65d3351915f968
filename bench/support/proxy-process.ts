import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findFreePort } from '../../test/support/free-port.ts'

const PROXY_MAIN = new URL('../../packages/primary/main.ts', import.meta.url)
const HOST = 'example.com'
/** Above what any bench opens, below what a descriptor limit of 20,000 carries. */
const CONCURRENCY = 9900
/** Start-up takes half a second; a busy machine may need a few. */
const START_TIMEOUT_MS = 20_000
const START_POLL_MS = 50
/** Connections are cut before; a proxy that still drains then is ended. */
const STOP_TIMEOUT_MS = 5000

export interface ProxyOptions {
  readonly workers: number
  readonly fastMode: boolean
  /** Every worker accepts for itself. */
  readonly reusePort?: boolean
  readonly dcPort: number
  /** Users beside the one whose secret is used. */
  readonly otherUsers?: number
  /** Serve the stats API there. */
  readonly apiPort?: number
  /** The default unless given. */
  readonly pacing?: 'burst' | 'full' | 'off'
  /** The others have the host of the one whose secret is used: each is a key more to try. */
  readonly othersShareHost?: boolean
  /** Where strangers are passed on to; a port that nobody listens on unless given. */
  readonly sitePort?: number
  /** Limits on unfinished handshakes; the defaults unless given. */
  readonly maxHandshakes?: number
  readonly maxHandshakesPerAddress?: number
  /** Serve metrics there. */
  readonly metricsPort?: number
}

/** The proxy as operators run it: a process of its own, with a configuration file. */
export interface ProxyProcess {
  readonly pid: number
  readonly port: number
  readonly secret: string
  stop(): Promise<void>
}

/** Start it and wait until it accepts. Throws with the end of its log when it does not. */
export async function startProxy(options: ProxyOptions): Promise<ProxyProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'mtg-multi-bench-'))
  const logPath = join(directory, 'log')
  const configPath = join(directory, 'config.toml')
  const secret = `ee${randomBytes(16).toString('hex')}${Buffer.from(HOST).toString('hex')}`
  const port = await findFreePort()
  writeFileSync(configPath, buildConfig(options, port, secret))

  // A file rather than a pipe: reading a pipe would cost this process, and a full one would stop the proxy.
  const log = openSync(logPath, 'w')
  const proxy = spawn(process.execPath, [PROXY_MAIN.pathname, 'run', configPath], {
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  const exited = once(proxy, 'exit')
  const kill = (): void => void proxy.kill('SIGKILL')
  const cleanUp = (): void => {
    kill()
    rmSync(directory, { recursive: true, force: true })
  }
  process.once('exit', cleanUp)
  const running = (): boolean => proxy.exitCode === null && proxy.signalCode === null

  async function stop(): Promise<void> {
    if (running()) {
      proxy.kill('SIGTERM')
      const killTimer = setTimeout(kill, STOP_TIMEOUT_MS)
      await exited
      clearTimeout(killTimer)
    }
    process.off('exit', cleanUp)
    rmSync(directory, { recursive: true })
  }

  const deadline = Date.now() + START_TIMEOUT_MS
  while (!(await accepts(port))) {
    if (!running() || Date.now() > deadline || proxy.pid === undefined) {
      const tail = readFileSync(logPath, 'utf8').slice(-2000)
      await stop()
      throw new Error(`the proxy does not listen on port ${port}:\n${tail}`)
    }
    await sleep(START_POLL_MS)
  }
  return { pid: proxy.pid ?? 0, port, secret, stop }
}

function buildConfig(options: ProxyOptions, port: number, secret: string): string {
  const api = options.apiPort === undefined ? '' : `api-bind-to = "127.0.0.1:${options.apiPort}"\n`
  return `bind-to = "127.0.0.1:${port}"
${api}concurrency = ${CONCURRENCY}
reuse-port = ${options.reusePort ?? false}

[secrets]
bench = "${secret}"
${buildOtherUsers(options)}

[defense]
max-handshakes = ${options.maxHandshakes ?? '"auto"'}
max-handshakes-per-address = ${options.maxHandshakesPerAddress ?? '"auto"'}

[stats.prometheus]
enabled = ${options.metricsPort !== undefined}
bind-to = "127.0.0.1:${options.metricsPort ?? 1}"

[defense.doppelganger]
pacing = "${options.pacing ?? 'burst'}"
# There is no site to learn from.
learn-front = false

[performance]
workers = ${options.workers}
fast-mode = ${options.fastMode}

[dc]
2 = ["127.0.0.1:${options.dcPort}"]

# What is fronted stays on this machine.
[domain-fronting]
host = "127.0.0.1"
port = ${options.sitePort ?? 9}
`
}

/** Each with a key and a host of its own, so that nobody's search for a key gets longer, unless it should. */
function buildOtherUsers({ otherUsers: count = 0, othersShareHost = false }: ProxyOptions): string {
  const host = (index: number): string =>
    Buffer.from(othersShareHost ? HOST : `host-${index}.example`).toString('hex')
  return Array.from(
    { length: count },
    (_, index) => `user-${index} = "ee${randomBytes(16).toString('hex')}${host(index)}"`,
  ).join('\n')
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
