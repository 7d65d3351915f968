import type { Logger } from 'pino'
import { ExitCode } from '#primary/exit'
import type { RunningProxy } from '#primary/proxy'

/**
 * Ctrl-C reaches the whole process group, and `npm` passes it on once more: what comes so soon after the first signal is
 * its echo, not a second thought.
 */
const SIGNAL_ECHO_MS = 500
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const

export interface StopOptions {
  readonly log: Pick<Logger, 'info'>
  /** This process, once a successor serves in its place: it drains already. */
  readonly replaced: () => Pick<RunningProxy, 'endDrain'> | null
  /** The first signal. */
  readonly onStop: () => void
  /** In place of the process. */
  readonly signals?: Pick<NodeJS.Process, 'on' | 'off' | 'exit'>
  readonly readMonotonicMs?: () => number
}

/**
 * The first SIGTERM or SIGINT stops in order, or ends the drain of a process that is replaced; the second one ends the
 * process at once (decision O6).
 * @returns takes the handlers away
 */
export function stopOnSignal(options: StopOptions): () => void {
  const { log, signals = process, readMonotonicMs = () => performance.now() } = options
  let firstMs: number | null = null
  const onSignal = (signal: NodeJS.Signals): void => {
    const nowMs = readMonotonicMs()
    if (firstMs !== null) {
      if (nowMs - firstMs < SIGNAL_ECHO_MS) return
      log.info({ signal }, 'second signal, ending at once')
      return signals.exit(ExitCode.ok) // which closes every socket
    }
    firstMs = nowMs
    const replaced = options.replaced()
    if (replaced === null) {
      log.info({ signal }, 'stopping, a second signal ends at once')
      options.onStop()
    } else {
      log.info({ signal }, 'closing the connections that are left')
      replaced.endDrain()
    }
  }
  for (const signal of STOP_SIGNALS) signals.on(signal, onSignal)
  return () => {
    for (const signal of STOP_SIGNALS) signals.off(signal, onSignal)
  }
}
