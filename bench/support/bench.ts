import type { CpuSeconds } from './process-usage.ts'

/** What a bench may be asked for on the command line; each uses those it names. */
export interface BenchOptions {
  readonly workers: number
  readonly reusePort: boolean
  /** Connections held, or handshakes under way, at once. */
  readonly connections: number
  /** Handshakes, or idle pairs. */
  readonly count: number
  /** Over all connections. */
  readonly totalMib: number
  /** Payload of one record from the client. */
  readonly recordPayloadBytes: number
}

/** Where the load goes. */
export interface LoadTarget {
  readonly port: number
  readonly secret: string
}

export interface LoadReport {
  /** Handshakes, bytes or pairs, by bench. */
  readonly units: number
  readonly wallSeconds: number
}

export type ReportProgress = (share: number) => void

export interface Measurement {
  readonly cpu: CpuSeconds
  readonly rssBeforeKib: number
  readonly rssAfterKib: number
  readonly load: LoadReport
}

/** Numbers by name, the unit in the name. */
export type Figures = Readonly<Record<string, number>>

/** One question. `prepare` runs in the load process, everything else in the one that measures. */
export interface Bench {
  readonly name: string
  /** Arguments of the streaming data centre. */
  dcArguments(options: BenchOptions): readonly string[]
  /** Connect and warm up; the load itself begins when the returned function is called. */
  prepare(
    target: LoadTarget,
    options: BenchOptions,
  ): Promise<(progress: ReportProgress) => Promise<LoadReport>>
  /** Figures of one run. */
  compute(measurement: Measurement): Figures
  /** One line for people. */
  describe(figures: Figures): string
}

export const MIB: number = 1024 * 1024
export const GIB: number = 1024 * MIB

export function format(figures: Figures, name: string, digits: number): string {
  return (figures[name] ?? Number.NaN).toFixed(digits)
}
