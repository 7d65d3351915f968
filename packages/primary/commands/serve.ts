import type { ReadConfig } from '#primary/config/read'
import { ExitCode } from '#primary/exit'
import { takeInheritedSockets } from '#primary/inherited-sockets'
import { type RunningProxy, startProxy } from '#primary/proxy'
import { ServiceManager } from '#primary/service-manager'
import { closeLeakedSockets } from '#primary/upgrade/close-leaked'
import { takeInheritance } from '#primary/upgrade/messages'
import { Predecessor } from '#primary/upgrade/predecessor'
import { createLogger } from '#shared/logger'
import type { LogTarget } from '#shared/worker-control'

import { logConfigWarnings } from './log-config-warnings.ts'
import { reloadOnSignal } from './reload-on-signal.ts'
import { stopOnSignal } from './stop-on-signal.ts'
import { upgradeOnSignal } from './upgrade-on-signal.ts'
import { warnAboutSni } from './warn-about-sni.ts'

export interface ServedConfig extends ReadConfig {
  /** Of the file, absolute; null if the configuration came from the command line. */
  readonly path: string | null
}

const STDOUT = 1

export interface ServeOptions {
  /** The log is for a person at a terminal; absent: JSON lines. */
  readonly pretty?: boolean
  readonly onListening?: (proxy: RunningProxy) => void
}

/**
 * Run the proxy until a signal stops it: the first one lets open connections finish (up to `shutdown-timeout`), the
 * second ends the process at once, and SIGUSR2 replaces it by a successor (decision O6). Logs on stdout.
 * @returns the exit code of a clean stop
 * @throws OperatorError if it cannot start, and whatever makes it unable to go on
 */
export async function serve(file: ServedConfig, options: ServeOptions = {}): Promise<ExitCode> {
  const target: LogTarget = {
    level: file.config.debug ? 'debug' : 'info',
    destination: STDOUT,
    pretty: options.pretty === true,
  }
  const log = createLogger(target)
  logConfigWarnings(file, log)
  const inherited = takeInheritedSockets(process.env, process.pid, log)
  const inheritance = takeInheritance(process.env)
  if (inheritance !== null) closeLeakedSockets(new Set(inheritance.sockets.map(({ fd }) => fd)))
  const predecessor = inheritance === null ? null : new Predecessor(inheritance, process)
  const manager = new ServiceManager(process.env, log)
  const stopping = new AbortController()
  let replaced: RunningProxy | null = null
  const onStop = (): void => {
    manager.stopping()
    stopping.abort()
  }
  const handlers = [stopOnSignal({ log, replaced: () => replaced, onStop })]
  try {
    const starting = startProxy(file.config, {
      log: target,
      stopping: stopping.signal,
      inherited,
      predecessor,
    })
    // `finished` tells how a stop ended, so that a failure of it is not reported twice.
    const stop = (proxy: RunningProxy): void => void proxy.stop().catch(() => {})
    const onReplaced = (proxy: RunningProxy): void => {
      replaced = proxy
      if (!stopping.signal.aborted) stop(proxy)
    }
    handlers.push(
      reloadOnSignal(starting, file, { log, manager }),
      upgradeOnSignal({ starting, manager, log, stopping: stopping.signal, onReplaced }),
    )
    const proxy = await starting
    const told = manager.ready()
    if (predecessor !== null) void told.then(() => predecessor.send({ type: 'settled' }))
    manager.watch(() => proxy.answers())
    void warnAboutSni(file.config, log, proxy.resolver)
    options.onListening?.(proxy)
    if (stopping.signal.aborted) stop(proxy)
    else stopping.signal.addEventListener('abort', () => stop(proxy), { once: true })
    await proxy.finished
  } finally {
    await manager.leave()
    for (const takeAway of handlers) takeAway()
  }
  return ExitCode.ok
}
