import type { CpuSeconds } from './process-usage.ts'

/** Amounts that the command line can change; each scenario has defaults for those it uses. */
export interface Amounts {
  /** Connections held, or handshakes under way, at once. */
  readonly connections: number
  /** Handshakes, idle connections or round trips. */
  readonly count: number
  /** Over all connections. */
  readonly mib: number
  readonly seconds: number
}

/** Of what a scenario has no use for. */
export const UNUSED_AMOUNTS: Amounts = { connections: 1, count: 1, mib: 1, seconds: 1 }

export interface LoadOptions extends Amounts {
  /** Every byte is compared, in both directions. */
  readonly verify: boolean
}

/** Secrets of one host: how many users the proxy has. Each number is measured with a proxy of its own. */
export type SecretCount = number

/** A proxy as clients know it. */
export interface ProxyAddress {
  readonly host: string
  readonly port: number
  readonly secret: string
}

/** Where the load goes. */
export interface LoadTarget extends ProxyAddress {
  /** The data centre, for comparisons without a proxy. */
  readonly dcPort: number
  /** All users' secrets come from it (`secrets.ts`); null when only `secret` is known. */
  readonly seed: string | null
  readonly secretCount: SecretCount
}

export interface LoadReport {
  /** Handshakes, bytes, messages or connections, by scenario. */
  readonly units: number
  readonly wallSeconds: number
  /** What only the load can know, such as latencies. */
  readonly values?: Figures
}

export type ReportProgress = (share: number) => void
/** A part of a scenario that is measured for itself. */
export type Phase = (progress: ReportProgress) => Promise<LoadReport>

export interface Measurement {
  /** Null when the proxy's process is not known. */
  readonly cpu: CpuSeconds | null
  readonly rssBeforeKib: number
  readonly rssAfterKib: number
  readonly load: LoadReport
}

/** Numbers by name, the unit in the name. */
export type Figures = Readonly<Record<string, number>>

/** One question. `prepare` runs in the load process, everything else in the one that measures. */
export interface Scenario {
  readonly name: string
  readonly summary: string
  readonly defaults: Partial<Amounts>
  /** Far less, in a second or so: shows that it works. */
  readonly quick: Partial<Amounts>
  /** One unless given. */
  readonly secretCounts?: readonly SecretCount[]
  /** Processor times among the figures: what two revisions are judged by. */
  readonly cpuFigures: readonly string[]
  /** Names of what `prepare` returns, in the order in which they run. */
  readonly phases: readonly string[]
  /** Connect and warm up; a phase begins when it is called. */
  prepare(target: LoadTarget, options: LoadOptions): Promise<Readonly<Record<string, Phase>>>
  /** Figures of one run. */
  compute(measurements: Readonly<Record<string, Measurement>>): Figures
  /** A line or more for people. */
  describe(figures: Figures): readonly string[]
}

export const MIB: number = 1024 * 1024
export const GIB: number = 1024 * MIB

/** `?` for what could not be measured. */
export function format(figures: Figures, name: string, digits: number): string {
  const value = figures[name] ?? Number.NaN
  return Number.isNaN(value) ? '?' : value.toFixed(digits)
}
