import type { ReadConfig } from '#primary/config/read'
import { formatConfigWarning } from '#primary/config/warning'
import { ExitCode } from '#primary/exit'
import { takeInheritedSockets } from '#primary/inherited-sockets'
import { type RunningProxy, startProxy } from '#primary/proxy'
import { createLogger } from '#shared/logger'
import type { LogTarget } from '#shared/worker-control'

import { reloadOnSignal } from './reload-on-signal.ts'
import { warnAboutSni } from './warn-about-sni.ts'

/**
 * Ctrl-C reaches the whole process group, and `npm` passes it on once more: what comes so soon after the first signal is
 * its echo, not a second thought.
 */
const SIGNAL_ECHO_MS = 500
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const

export interface ServedConfig extends ReadConfig {
  /** Of the file, absolute; null if the configuration came from the command line. */
  readonly path: string | null
}

/**
 * Run the proxy until a signal stops it: the first one lets open connections finish (up to `shutdown-timeout`), the
 * second ends the process at once (decision O6).
 * @returns the exit code of a clean stop
 * @throws OperatorError if it cannot start, and whatever makes it unable to go on
 */
export async function serve(
  file: ServedConfig,
  options: { log: LogTarget; onListening?: (proxy: RunningProxy) => void },
): Promise<ExitCode> {
  const log = createLogger(options.log)
  for (const warning of file.warnings)
    log.warn(
      { file: file.path, path: warning.path },
      warning.message ?? `configuration: ${formatConfigWarning(warning)}`,
    )

  const inherited = takeInheritedSockets(process.env, process.pid, log)
  const stopping = new AbortController()
  let firstSignalMs = 0
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping.signal.aborted) {
      if (performance.now() - firstSignalMs < SIGNAL_ECHO_MS) return
      log.info({ signal }, 'second signal, ending at once')
      // The end of the process closes every socket.
      process.exit(ExitCode.ok)
    }
    log.info({ signal }, 'stopping, a second signal ends at once')
    firstSignalMs = performance.now()
    stopping.abort()
  }
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal)
  let stopReloading = (): void => {}
  try {
    const starting = startProxy(file.config, { log: options.log, stopping: stopping.signal, inherited })
    stopReloading = reloadOnSignal(starting, file, log)
    const proxy = await starting
    void warnAboutSni(file.config, log, proxy.resolver)
    options.onListening?.(proxy)
    // `finished` tells how a stop ended, so that a failure of it is not reported twice.
    const stop = (): void => void proxy.stop().catch(() => {})
    if (stopping.signal.aborted) stop()
    else stopping.signal.addEventListener('abort', stop, { once: true })
    await proxy.finished
  } finally {
    stopReloading()
    for (const signal of STOP_SIGNALS) process.off(signal, onSignal)
  }
  return ExitCode.ok
}
