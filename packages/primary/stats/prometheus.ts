/**
 * The Prometheus exporter (operator.md §7, decision O4): our families under the operator's prefix, and those of the
 * process. Nothing is pushed; numbers are summed when somebody scrapes.
 */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import type { StatsConfig } from '#shared/config'
import { HISTOGRAMS, type HistogramSums } from '#shared/state/histogram'

import type { SampledFamily } from './families.ts'
import { type HostCheckOptions, refuseForeignHosts } from './host-check.ts'
import { createHttpServer, listenHttp, serveReadOnly, type RunningHttpServer } from './http-server.ts'
import { registerHistogram } from './prometheus-histogram.ts'

export interface PrometheusOptions {
  readonly config: StatsConfig['prometheus']
  readonly families: readonly SampledFamily[]
  readonly histograms: HistogramSums
  /** What the process before us listens on at this address. */
  readonly handed?: number | null
  /** Of the program. */
  readonly version: string
  /** Which names a request may be for, where it comes over loopback; absent in tests of other things: all. */
  readonly hosts?: Pick<HostCheckOptions, 'allowed' | 'log'>
  /** An error while collecting: the scraper gets status 500. */
  readonly onError?: (error: unknown) => void
}

/** Throws an OperatorError `cannot start Prometheus exporter on …` when the address cannot be had. */
export function startPrometheus(options: PrometheusOptions): Promise<RunningHttpServer> {
  const { config } = options
  const registry = buildRegistry(options)
  const ofProcess = processRegistry()
  const server = createHttpServer(options.onError ?? (() => {}))
  if (options.hosts !== undefined)
    refuseForeignHosts(server, { address: config.bindTo, onLoopbackOnly: true, ...options.hosts })
  serveReadOnly(server, '/*', async (request, reply) => {
    if (!isServed(request.url, config.httpPath)) return reply.callNotFound()
    const text = `${await registry.metrics()}\n${await ofProcess.metrics()}`
    // Always the plain text format: in OpenMetrics counters would have to be renamed to `…_total`.
    return reply.header('Content-Type', registry.contentType).send(Buffer.from(text))
  })
  return listenHttp(server, config.bindTo, 'Prometheus exporter', options.handed)
}

/** A path that ends with a slash stands for all below it, so that `/` answers every URL. */
function isServed(url: string, httpPath: string): boolean {
  const path = url.replace(/[?#].*$/s, '')
  return httpPath.endsWith('/') ? path.startsWith(httpPath) : path === httpPath
}

function buildRegistry({ config, families, histograms, version }: PrometheusOptions): Registry {
  const registry = new Registry()
  for (const family of families) {
    const settings: Settings = {
      name: `${config.metricPrefix}_${family.name}`,
      help: family.help,
      labelNames: [...family.labelNames],
      registers: [],
    }
    registry.registerMetric(
      family.kind === 'gauge' ? buildGauge(family, settings) : buildCounter(family, settings),
    )
  }
  for (const definition of HISTOGRAMS) {
    registerHistogram(registry, config.metricPrefix, definition, histograms)
  }
  const buildInfo = new Gauge({
    name: `${config.metricPrefix}_build_info`,
    help: 'Version of the program and of Node.js; always 1.',
    labelNames: ['version', 'node'],
    registers: [registry],
  })
  buildInfo.set({ version, node: process.versions.node }, 1)
  return registry
}

interface Settings {
  readonly name: string
  readonly help: string
  readonly labelNames: string[]
  /** None: the caller registers. */
  readonly registers: []
}

function buildGauge(family: SampledFamily, settings: Settings): Gauge {
  return new Gauge({
    ...settings,
    collect() {
      this.reset()
      for (const { labels, value } of family.collect()) this.set(labels, value)
    },
  })
}

function buildCounter(family: SampledFamily, settings: Settings): Counter {
  return new Counter({
    ...settings,
    collect() {
      // Our numbers are sums already, and a counter of this library can only be raised.
      this.reset()
      for (const { labels, value } of family.collect()) this.inc(labels, value)
    },
  })
}

let processMetrics: Registry | undefined

/**
 * Memory, CPU, descriptors, event loop, garbage collection. One registry for the life of the process: the library
 * starts observers for it that cannot be stopped, and there is only one process to observe.
 */
function processRegistry(): Registry {
  if (processMetrics === undefined) {
    processMetrics = new Registry()
    collectDefaultMetrics({ register: processMetrics })
  }
  return processMetrics
}
