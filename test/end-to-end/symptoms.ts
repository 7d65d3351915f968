import assert from 'node:assert/strict'
import type { FakeTlsClient } from '../support/faketls-client.ts'
import type { TestProxy } from '../support/proxy.ts'
import { readMetric, waitUntil } from './world.ts'

/** Short, so that what fails is over soon. */
export const FAULT_TIMEOUTS = { tcpMs: 1000, httpMs: 1000, idleMs: 1500, handshakeMs: 10_000 }
export const MESSAGE = 'is anybody there?'

const finished = (proxy: TestProxy): Record<string, unknown>[] =>
  proxy.logLines().filter(({ message }) => message === 'Stream has been finished')

/** What came back for a message, as far as anything came. */
export async function ask(client: FakeTlsClient, bytes: number): Promise<string> {
  client.write(Buffer.from(MESSAGE))
  return String(await client.read(bytes).catch(() => ''))
}

/** How a fault shows from outside. */
export interface Symptoms {
  /** Of the log line of the connection. */
  readonly reason: string
  /** The series that counts it. */
  readonly metric: string
  readonly labels?: Record<string, string>
  /** In the log above debug level. */
  readonly warning?: string
}

export const relayEnds = (to: 'telegram' | 'site', how: string): Symptoms => ({
  reason: how,
  metric: 'mtg_relays_ended',
  labels: { to, how },
})

/** Rejects unless the log and the counters come to say so. @param isMine which log lines are about this fault */
export async function assertSymptoms(
  proxy: TestProxy,
  { reason, metric, labels = {}, warning }: Symptoms,
  isMine: (line: Record<string, unknown>) => boolean = () => true,
): Promise<void> {
  await waitUntil(() => finished(proxy).some((line) => line['reason'] === reason && isMine(line)), reason)
  await waitUntil(async () => readMetric(await proxy.metrics(), metric, labels) > 0, metric)
  if (warning === undefined) return
  const lines = proxy.logLines().filter(({ level }) => level === 'warn')
  assert.ok(
    lines.some(({ message, error }) => message === warning && error !== undefined),
    warning,
  )
}
