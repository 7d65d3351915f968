import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { TomlTable } from 'smol-toml'

import { findFreePort } from '../../test/support/free-port.ts'
import { buildConfigText } from './proxy-config.ts'
import type { ProxyAddress } from './scenario.ts'
import { buildSecret } from './secrets.ts'

/** This checkout. */
export const OWN_DIRECTORY: string = fileURLToPath(new URL('../..', import.meta.url))
/** Above what any bench opens, below what a descriptor limit of 20,000 carries. */
const CONCURRENCY = 9900
/** As the targets in README.md have it. */
export const DEFAULT_WORKERS = 2
/** Start-up takes half a second; a busy machine may need a few. */
const START_TIMEOUT_MS = 30_000
const START_POLL_MS = 50
/** Connections are cut before; a proxy that still drains then is ended. */
const STOP_TIMEOUT_MS = 5000
/** A port that nobody listens on: strangers are turned away there. */
const NO_SITE_PORT = 9

export interface ProxyOptions {
  /** Of the base configuration, or {@link DEFAULT_WORKERS}, unless given. */
  readonly workers?: number
  /** The default unless given. */
  readonly fastMode?: boolean
  /** Every worker accepts for itself. */
  readonly reusePort?: boolean
  readonly dcPort: number
  /** Users in all; those beside the first have the same host, each is a key more to try. */
  readonly users?: number
  /** Serve the stats API there. */
  readonly apiPort?: number
  /** The default unless given. */
  readonly pacing?: 'burst' | 'full' | 'off'
  /** The others have hosts of their own, so that nobody's search for a key gets longer. */
  readonly othersHaveOwnHosts?: boolean
  /** Where strangers are passed on to; a port that nobody listens on unless given. */
  readonly sitePort?: number
  /** Limits on unfinished handshakes; the defaults unless given. */
  readonly maxHandshakes?: number
  readonly maxHandshakesPerAddress?: number
  /** Serve metrics there. */
  readonly metricsPort?: number
  /** The checkout that is started; this one unless given. */
  readonly directory?: string
  /** On top of everything, by dotted names. */
  readonly overrides?: Readonly<Record<string, unknown>>
  /** An operator's configuration to begin with, instead of none. */
  readonly base?: TomlTable
}

/** The proxy as operators run it: a process of its own, with a configuration file. */
export interface ProxyProcess extends ProxyAddress {
  readonly pid: number
  /** All secrets come from it, see secrets.ts. */
  readonly seed: string
  stop(): Promise<void>
}

/** Start it and wait until it accepts. Throws with the end of its log when it does not, or does not know a setting. */
export async function startProxy(options: ProxyOptions): Promise<ProxyProcess> {
  const seed = randomBytes(16).toString('hex')
  const port = await findFreePort()
  const main = join(options.directory ?? OWN_DIRECTORY, 'packages/primary/main.ts')
  const started = await startProgram({
    port,
    files: { 'config.toml': buildConfig(options, port, seed) },
    command: (file) => [process.execPath, main, 'run', file('config.toml')],
  })
  // It starts all the same, and two runs that differ in nothing would be compared.
  const ignored = Object.keys(options.overrides ?? {}).find((name) => isIgnored(started.startLog, name))
  if (ignored !== undefined) {
    await started.stop()
    throw new Error(`the program that is measured knows no setting ${ignored}`)
  }
  return { ...started, host: '127.0.0.1', port, seed, secret: buildSecret(seed, 0) }
}

/** Whether the log says that nobody knows this key. */
const isIgnored = (log: string, name: string): boolean =>
  log.split('\n').some((line) => line.includes(`${name} (line `) && line.includes('unknown key, ignored'))

export interface Program {
  readonly port: number
  /** Text of files by name, in a directory that only we can read and that is removed afterwards. */
  readonly files: Readonly<Record<string, string>>
  command(file: (name: string) => string): readonly [program: string, ...args: string[]]
}

export interface StartedProgram {
  readonly pid: number
  /** What it had written when it began to listen. */
  readonly startLog: string
  stop(): Promise<void>
}

/** Anything that listens on a port. Its children belong to it: all of them are ended. */
export async function startProgram(program: Program): Promise<StartedProgram> {
  const directory = mkdtempSync(join(tmpdir(), 'mtg-multi-bench-'))
  const file = (name: string): string => join(directory, name)
  for (const [name, text] of Object.entries(program.files)) writeFileSync(file(name), text, { mode: 0o600 })
  // A file rather than a pipe: reading a pipe would cost this process, and a full one would stop the proxy.
  const log = openSync(file('log'), 'w')
  const [command, ...args] = program.command(file)
  const child = spawn(command, args, { stdio: ['ignore', log, log], detached: true })
  closeSync(log)
  const exited = once(child, 'exit')
  const running = (): boolean => child.exitCode === null && child.signalCode === null
  const signal = (name: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name) // detached: a process group of its own
    } catch {
      // all of them have ended
    }
  }
  const cleanUp = (): void => {
    signal('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
  process.once('exit', cleanUp)

  async function stop(): Promise<void> {
    if (running()) {
      signal('SIGTERM')
      const killTimer = setTimeout(() => signal('SIGKILL'), STOP_TIMEOUT_MS)
      await exited
      clearTimeout(killTimer)
    }
    process.off('exit', cleanUp)
    cleanUp()
  }

  const deadline = Date.now() + START_TIMEOUT_MS
  while (!(await accepts(program.port))) {
    if (!running() || Date.now() > deadline || child.pid === undefined) {
      const said = readFileSync(file('log'), 'utf8').slice(-2000).trim()
      const why = running()
        ? `does not listen on port ${program.port} after ${START_TIMEOUT_MS / 1000} s`
        : `ended (${child.signalCode ?? `exit code ${child.exitCode}`}) before it listened on port ${program.port}`
      await stop()
      throw new Error(`what was started ${why}${said === '' ? '' : `:\n${said}`}`)
    }
    await sleep(START_POLL_MS)
  }
  return { pid: child.pid ?? 0, startLog: readFileSync(file('log'), 'utf8'), stop }
}

/** Its text. */
export function buildConfig(options: ProxyOptions, port: number, seed: string): string {
  const local = (at: number): string => `127.0.0.1:${at}`
  return buildConfigText(options.base ?? {}, {
    'bind-to': local(port),
    'api-bind-to': options.apiPort === undefined ? undefined : local(options.apiPort),
    concurrency: options.base === undefined ? CONCURRENCY : undefined,
    'reuse-port': options.reusePort,
    'defense.max-handshakes': options.maxHandshakes,
    'defense.max-handshakes-per-address': options.maxHandshakesPerAddress,
    'stats.prometheus.enabled': options.metricsPort !== undefined,
    'stats.prometheus.bind-to': options.metricsPort === undefined ? undefined : local(options.metricsPort),
    'defense.doppelganger.pacing': options.pacing,
    // There is no site to learn from.
    'defense.doppelganger.learn-front': false,
    'performance.workers': options.workers ?? (options.base === undefined ? DEFAULT_WORKERS : undefined),
    'performance.fast-mode': options.fastMode,
    dc: { 2: [local(options.dcPort)] },
    // What is fronted stays on this machine.
    'domain-fronting': { host: '127.0.0.1', port: options.sitePort ?? NO_SITE_PORT },
    ...options.overrides,
    secrets: buildUsers(options, seed),
  })
}

function buildUsers({ users = 1, othersHaveOwnHosts = false }: ProxyOptions, seed: string): TomlTable {
  const secretOf = (number: number): string => {
    if (number === 0 || !othersHaveOwnHosts) return buildSecret(seed, number)
    const host = Buffer.from(`host-${number}.example`).toString('hex')
    return `${buildSecret(seed, number).slice(0, 34)}${host}`
  }
  return Object.fromEntries(
    Array.from({ length: users }, (_, number) => [`user-${number}`, secretOf(number)]),
  )
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
