import { readFile } from 'node:fs/promises'
import type { LookupFunction } from 'node:net'

import { buildChecks } from '#primary/doctor/build-checks'
import { type Check, type CheckResult, runCheck } from '#primary/doctor/check'
import { createDcProber } from '#primary/doctor/dc-prober'
import { Progress } from '#primary/doctor/progress'
import { findWorst, formatResult, formatResultsAsJson } from '#primary/doctor/report'
import { NTP_POOL, type SntpServer } from '#primary/doctor/sntp'
import { ExitCode } from '#primary/exit'
import { detectPublicIps, type PublicIps } from '#primary/public-ip'
import type { ProxyConfig } from '#shared/config'
import { Resolver } from '#shared/dial/resolver'

import { readConfigFile } from './read-config-file.ts'

export interface DoctorOptions {
  readonly configPath: string
  /** One JSON object in place of text. */
  readonly json: boolean
  /** Do not reach for Telegram directly. */
  readonly skipNativeCheck: boolean
}

/** What the command touches besides its file. */
export interface DoctorSurroundings {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number }
  /** In place of the pool. */
  readonly ntpServer?: SntpServer
  /** Where the public address is asked for, in place of the usual service. */
  readonly publicIpUrl?: string
  /** In place of the configured resolver. */
  readonly resolve?: (host: string) => Promise<readonly string[]>
  /** PEM certificates to trust in place of the system's. */
  readonly ca?: string
}

/**
 * `doctor <config-path>`: what could go wrong with this file on this machine (operator.md §3, decision O7). The checks
 * run at the same time and are printed in their order.
 * @returns 1 if a check failed, 0 otherwise, whatever was warned about
 */
export async function runDoctor(
  options: DoctorOptions,
  surroundings: DoctorSurroundings = process,
): Promise<ExitCode> {
  const { config, warnings, path } = await readConfigFile(options.configPath)
  const resolver = new Resolver(config.network.dns)
  const resolve = surroundings.resolve ?? ((host) => resolver.resolve(host))
  const prober = createDcProber(resolve)
  try {
    const checks = buildChecks({
      config,
      configText: await readFile(path, 'utf8'),
      warnings,
      skipNativeCheck: options.skipNativeCheck,
      ntpServer: surroundings.ntpServer ?? NTP_POOL,
      prober,
      resolve,
      findPublicIps: askOnce(() => findPublicIps(config, resolver.lookup, surroundings)),
      nowMs: Date.now(),
      ...(surroundings.ca === undefined ? {} : { ca: surroundings.ca }),
    })
    const results = await runAll(checks, options, surroundings)
    if (options.json) surroundings.stdout.write(formatResultsAsJson(results))
    return findWorst(results) === 'fail' ? ExitCode.failure : ExitCode.ok
  } finally {
    resolver.close()
    await prober.close()
  }
}

/** All at once; as text each result is printed as soon as those before it are. */
async function runAll(
  checks: readonly Check[],
  options: DoctorOptions,
  { stdout, stderr }: DoctorSurroundings,
): Promise<readonly CheckResult[]> {
  const progress = new Progress(
    stderr,
    checks.map((check) => check.title),
  )
  progress.show()
  const running = checks.map(async (check) => {
    const result = await runCheck(check)
    progress.finish(check.title)
    return result
  })
  const results: CheckResult[] = []
  for (const pending of running) {
    const result = await pending
    results.push(result)
    if (options.json) continue
    progress.hide()
    stdout.write(formatResult(result))
    progress.show()
  }
  progress.hide()
  return results
}

function findPublicIps(
  config: ProxyConfig,
  lookup: LookupFunction,
  { publicIpUrl }: DoctorSurroundings,
): Promise<PublicIps> {
  return detectPublicIps({
    known: { ipv4: config.publicIpv4, ipv6: config.publicIpv6 },
    timeoutMs: config.network.timeout.httpMs,
    lookup,
    ...(publicIpUrl === undefined ? {} : { url: publicIpUrl }),
  })
}

/** Two checks want the answer, the service is asked once. */
function askOnce<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined
  return () => (answer ??= ask())
}
