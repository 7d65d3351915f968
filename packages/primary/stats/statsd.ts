/**
 * The StatsD exporter (operator.md §7.3, decision O5): once a second it tells a server by UDP what has changed. Written
 * here over dgram, because the client that is in common use (hot-shots) has no graphite tags, lets the colons of an IPv6
 * address into influxdb's metric names and takes tags and the address from DD_* variables of the environment.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { StatsConfig } from '#shared/config'
import { formatHostPort } from '#shared/dc'

import { packLines } from './statsd-line.ts'
import { StatsdSeries, type StatsdFamily } from './statsd-series.ts'
import { UdpSender } from './udp-sender.ts'

/** Sums make a shorter one useless: servers add up 10 s and more. The workers publish four times in it. */
const FLUSH_INTERVAL_MS = 1000
/** Fits into one Ethernet frame with IPv6 and the headers of a tunnel; the reference's limit. */
export const MAX_DATAGRAM_BYTES = 1432
/** Faults are one outage, told once, until so many flushes went without any. */
const FLUSHES_WITHOUT_FAULT = 60
/** What the last values get to leave the process. */
const STOP_LIMIT_MS = 1000

export interface StatsdOptions {
  readonly config: StatsConfig['statsd']
  readonly families: readonly StatsdFamily[]
  readonly log: Logger
}

/** Begin to send. Nothing that the server does or does not do is an error here: a warning, and the next flush. */
export function startStatsd(options: StatsdOptions): Statsd {
  const statsd = new Statsd(options)
  statsd.start()
  return statsd
}

/** Made by `startStatsd`. */
export class Statsd {
  /** For people: `127.0.0.1:8125`. */
  readonly server: string
  readonly #series: StatsdSeries
  readonly #sender: UdpSender
  readonly #log: Logger
  #timer: NodeJS.Timeout | null
  #flushing: Promise<void> | null
  #stopped: Promise<void> | null
  #flushesWithoutFault: number
  #hasDropped: boolean

  constructor({ config, families, log }: StatsdOptions) {
    const { address, tagFormat, metricPrefix } = config
    this.server = formatHostPort(address)
    this.#series = new StatsdSeries({ tagFormat, metricPrefix, families })
    this.#sender = new UdpSender(address, (error) => this.#onFault(error))
    this.#log = log
    this.#timer = null
    this.#flushing = null
    this.#stopped = null
    this.#flushesWithoutFault = FLUSHES_WITHOUT_FAULT
    this.#hasDropped = false
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.flush(), FLUSH_INTERVAL_MS).unref()
  }

  /** Send what has changed. While one flush is under way, or the server has no address, the sums wait for the next. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush(() => this.#series.collectLines()).finally(() => (this.#flushing = null))
    return this.#flushing
  }

  /** Send the last values, then no more. Bounded in time; calling it twice is fine. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    clearInterval(this.#timer ?? undefined)
    const last = async (): Promise<void> => {
      await this.#flushing
      await this.#flush(() => this.#series.collectLastLines())
    }
    await Promise.race([last(), sleep(STOP_LIMIT_MS, undefined, { ref: false })])
    this.#sender.close()
  }

  async #flush(collect: () => string[]): Promise<void> {
    this.#flushesWithoutFault += 1
    try {
      if (!(await this.#sender.prepare())) return
      const { datagrams, dropped } = packLines(collect(), MAX_DATAGRAM_BYTES)
      await this.#sender.send(datagrams)
      if (dropped > 0) this.#warnAboutDropped(dropped)
    } catch (error) {
      this.#log.error({ error }, 'StatsD exporter error')
    }
  }

  #onFault(error: Error): void {
    const isNews = this.#flushesWithoutFault >= FLUSHES_WITHOUT_FAULT
    this.#flushesWithoutFault = 0
    if (isNews) this.#log.warn({ server: this.server, error: error.message }, 'cannot send metrics to StatsD')
  }

  #warnAboutDropped(lines: number): void {
    if (this.#hasDropped) return
    this.#hasDropped = true
    this.#log.warn({ lines, max_bytes: MAX_DATAGRAM_BYTES }, 'metrics are too long for a StatsD datagram')
  }
}
