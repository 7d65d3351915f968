import type { ReadConfig } from '#primary/config/read'
import { formatConfigWarning } from '#primary/config/warning'
import { ExitCode } from '#primary/exit'
import { takeInheritedSockets } from '#primary/inherited-sockets'
import { type RunningProxy, startProxy } from '#primary/proxy'
import { ServiceManager } from '#primary/service-manager'
import { closeLeakedSockets } from '#primary/upgrade/close-leaked'
import { takeInheritance } from '#primary/upgrade/messages'
import { Predecessor } from '#primary/upgrade/predecessor'
import { createLogger } from '#shared/logger'
import type { LogTarget } from '#shared/worker-control'

import { reloadOnSignal } from './reload-on-signal.ts'
import { upgradeOnSignal } from './upgrade-on-signal.ts'
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
 * second ends the process at once, and SIGUSR2 replaces it by a successor (decision O6).
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
  const inheritance = takeInheritance(process.env)
  if (inheritance !== null) closeLeakedSockets(new Set(inheritance.sockets.map(({ fd }) => fd)))
  const predecessor = inheritance === null ? null : new Predecessor(inheritance, process)
  const manager = new ServiceManager(process.env, log)
  const stopping = new AbortController()
  let replaced: RunningProxy | null = null
  let firstSignalMs = 0
  const onSignal = (signal: NodeJS.Signals): void => {
    if (replaced !== null && firstSignalMs === 0) {
      log.info({ signal }, 'closing the connections that are left')
      firstSignalMs = performance.now()
      return replaced.endDrain()
    }
    if (stopping.signal.aborted) {
      if (performance.now() - firstSignalMs < SIGNAL_ECHO_MS) return
      log.info({ signal }, 'second signal, ending at once')
      // The end of the process closes every socket.
      process.exit(ExitCode.ok)
    }
    log.info({ signal }, 'stopping, a second signal ends at once')
    firstSignalMs = performance.now()
    manager.stopping()
    stopping.abort()
  }
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal)
  let stopListening = (): void => {}
  try {
    const starting = startProxy(file.config, {
      log: options.log,
      stopping: stopping.signal,
      inherited,
      predecessor,
    })
    const stopReloading = reloadOnSignal(starting, file, { log, manager })
    const stopUpgrading = upgradeOnSignal({
      starting,
      manager,
      log,
      stopping: stopping.signal,
      onReplaced: (proxy) => {
        replaced = proxy
        void proxy.stop().catch(() => {}) // `finished` tells
      },
    })
    stopListening = () => {
      stopReloading()
      stopUpgrading()
    }
    const proxy = await starting
    const told = manager.ready()
    if (predecessor !== null) void told.then(() => predecessor.send({ type: 'settled' }))
    manager.watch(() => proxy.answers())
    void warnAboutSni(file.config, log, proxy.resolver)
    options.onListening?.(proxy)
    // `finished` tells how a stop ended, so that a failure of it is not reported twice.
    const stop = (): void => void proxy.stop().catch(() => {})
    if (stopping.signal.aborted) stop()
    else stopping.signal.addEventListener('abort', stop, { once: true })
    await proxy.finished
  } finally {
    await manager.leave()
    stopListening()
    for (const signal of STOP_SIGNALS) process.off(signal, onSignal)
  }
  return ExitCode.ok
}
