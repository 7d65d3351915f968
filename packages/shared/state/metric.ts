/** What a row of the table of metrics says (layout.ts). */
export type MetricKind = 'gauge' | 'counter'

export interface Metric {
  /** Without the operator's prefix. */
  readonly name: string
  readonly kind: MetricKind
  readonly help: string
  /** Label names with the closed list of their values, in the order an exporter shows them. */
  readonly labels: Readonly<Record<string, readonly string[]>>
  /** The series is kept per data-centre address too: labels `telegram_ip` and `dc` come before the others. */
  readonly perDcAddress: boolean
  /** Not summed but shown thread by thread, with the label `worker`. */
  readonly perWorker?: true
  /** What one of what is counted is worth; absent: 1. Rows hold whole numbers. */
  readonly unit?: number
}
