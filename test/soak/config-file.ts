import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findFreePort } from '../support/free-port.ts'

export const WORKERS = 2
/** Who has a quota. */
export const METERED_USER = 'clara'
/** Short enough that a soak of two minutes sees sessions that are closed for their silence. */
export const IDLE_MS = 12_000

/** What changes from reload to reload. */
export interface Settings {
  /** Name → secret. */
  readonly users: Readonly<Record<string, string>>
  /** Of the user who has one, so large that it never ends. */
  readonly quotaMib: number
  /** 0: off. */
  readonly throttleLimit: number
  /** Addresses in the blocklist. */
  readonly blocked: readonly string[]
}

/** What the program talks to, and how clients come to it. */
export interface Surroundings {
  readonly dcPort: number
  readonly sitePort: number
  readonly socksPort: number
  readonly statsdPort: number
  /** Clients come behind a balancer. */
  readonly proxyProtocol: boolean
}

export interface Ports {
  readonly proxy: number
  readonly api: number
  readonly metrics: number
}

/** What a program is started with. */
export interface ProgramFile {
  readonly path: string
  readonly ports: Ports
  write(settings: Settings): void
}

/** The operator's file. */
export class ConfigFile implements ProgramFile {
  readonly path: string
  readonly stateFile: string
  readonly ports: Ports
  readonly #folder: string
  readonly #surroundings: Surroundings
  #lists: number

  constructor(folder: string, surroundings: Surroundings, ports: Ports) {
    this.path = join(folder, 'config.toml')
    this.stateFile = join(folder, 'state.json')
    this.ports = ports
    this.#folder = folder
    this.#surroundings = surroundings
    this.#lists = 0
  }

  write(settings: Settings): void {
    // A list of another name, so that the reload has to read it.
    this.#lists += 1
    const list = join(this.#folder, `blocked-${this.#lists % 2}`)
    writeFileSync(list, settings.blocked.map((address) => `${address}\n`).join(''))
    writeFileSync(this.path, this.#build(settings, list), { mode: 0o600 })
  }

  #build({ users, quotaMib, throttleLimit, blocked }: Settings, list: string): string {
    const { dcPort, sitePort, socksPort, statsdPort, proxyProtocol } = this.#surroundings
    const { ports, stateFile } = this
    return `
bind-to = "127.0.0.1:${ports.proxy}"
api-bind-to = "127.0.0.1:${ports.api}"
state-file = "${stateFile}"
concurrency = 500
tolerate-time-skewness = "30s"
shutdown-timeout = "10s"
proxy-protocol-listener = ${proxyProtocol}
[throttle]
max-connections = ${throttleLimit}
check-interval = "1s"
[domain-fronting]
host = "127.0.0.1"
port = ${sitePort}
[network]
proxies = ["socks5://127.0.0.1:${socksPort}", ""]
[network.timeout]
idle = "${IDLE_MS / 1000}s"
[defense.blocklist]
enabled = ${blocked.length > 0}
urls = ["${list}"]
[defense.doppelganger]
learn-front = false
[stats.statsd]
enabled = true
address = "127.0.0.1:${statsdPort}"
[stats.prometheus]
enabled = true
bind-to = "127.0.0.1:${ports.metrics}"
[performance]
workers = ${WORKERS}
[dc]
2 = ["127.0.0.1:${dcPort}"]
[secrets]
${Object.entries(users)
  .map(([name, secret]) =>
    name === METERED_USER
      ? `${name} = { secret = "${secret}", quota = "${quotaMib}mib", quota-period = "total" }`
      : `${name} = "${secret}"`,
  )
  .join('\n')}
`
  }
}

/** In the folder, with ports of its own. */
export async function createConfigFile(folder: string, surroundings: Surroundings): Promise<ConfigFile> {
  const ports = { proxy: await findFreePort(), api: await findFreePort(), metrics: await findFreePort() }
  return new ConfigFile(folder, surroundings, ports)
}
