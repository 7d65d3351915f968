import type { Logger } from 'pino'
import type { RunningProxy } from '#primary/proxy'
import type { ServiceManager } from '#primary/service-manager'
import { Successor } from '#primary/upgrade/successor'

/** Threads take a second; an allowlist that is loaded for the first time may take thirty. */
const STAND_LIMIT_MS = 60_000
/** From its word that it stands to its word that it accepts, a successor only listens. */
const SERVE_LIMIT_MS = 15_000
/** Reading the state file, and telling the service manager who the main process is. */
const SETTLE_LIMIT_MS = 15_000

/** For how long a successor may be silent. */
export interface UpgradeLimits {
  readonly standMs: number
  readonly serveMs: number
  readonly settleMs: number
}

const LIMITS: UpgradeLimits = {
  standMs: STAND_LIMIT_MS,
  serveMs: SERVE_LIMIT_MS,
  settleMs: SETTLE_LIMIT_MS,
}

/** The process that ends is the first one of its PID namespace, and the kernel ends all others with it. */
const INIT_PID = 1

export interface UpgradeOptions {
  readonly starting: Promise<RunningProxy>
  readonly manager: ServiceManager
  readonly log: Logger
  /** A stop was asked for: a successor that does not serve yet is not wanted any more. */
  readonly stopping: AbortSignal
  /** A successor serves now. Called once; what is left is to drain. */
  readonly onReplaced: (proxy: RunningProxy) => void
  /** In place of a minute and twice 15 s. */
  readonly limits?: UpgradeLimits
  /** Arguments of Node for the successor, in place of this program's own. */
  readonly args?: readonly string[]
}

/**
 * Replace this process by a successor at SIGUSR2 (decision O6). Until the successor accepts clients nothing changes here,
 * so one that fails to start costs nothing but a line in the log.
 * @returns takes the handler away
 */
export function upgradeOnSignal(options: UpgradeOptions): () => void {
  const { starting, log } = options
  let state: 'starting' | 'serving' | 'upgrading' | 'replaced' = 'starting'
  let running: RunningProxy | null = null
  starting.then(
    (proxy) => {
      running = proxy
      state = 'serving'
    },
    () => {}, // the caller's
  )
  const refuse = (reason: string): void => log.warn({ reason }, 'SIGUSR2 is ignored')
  const onSignal = (): void => {
    if (running === null) return refuse('the start is not over')
    if (state === 'upgrading') return refuse('a successor is being started')
    if (state === 'replaced') return refuse('a successor serves already')
    if (options.stopping.aborted) return refuse('the process is stopping')
    if (!running.isWhole) return refuse('the process before this one has not let go of everything yet')
    if (process.pid === INIT_PID) return refuse('the end of process 1 would end its container')
    state = 'upgrading'
    const proxy = running
    void upgrade(proxy, options).then((isReplaced) => {
      state = isReplaced ? 'replaced' : 'serving'
      if (isReplaced) options.onReplaced(proxy)
    })
  }
  process.on('SIGUSR2', onSignal)
  return () => process.off('SIGUSR2', onSignal)
}

/** @returns whether a successor serves; it never throws */
async function upgrade(proxy: RunningProxy, options: UpgradeOptions): Promise<boolean> {
  const { log, manager, stopping, limits = LIMITS } = options
  manager.upgrading()
  const successor = start(proxy, options)
  if (successor === null) {
    manager.reloaded()
    return false
  }
  const { process: child, exchange } = successor
  log.info({ pid: child.pid }, 'starting a successor')
  try {
    await child.says('standing', AbortSignal.any([stopping, AbortSignal.timeout(limits.standMs)]))
    await exchange?.tell()
    await child.send({ type: 'accept' })
    exchange?.start()
    await child.says('serving', AbortSignal.timeout(limits.serveMs))
  } catch (error) {
    exchange?.stop()
    child.kill()
    const reason = stopping.aborted ? 'this process is stopping' : describe(error)
    log.error({ pid: child.pid, error: reason }, 'the successor did not start, this process goes on')
    if (!stopping.aborted) manager.reloaded()
    return false
  }
  void manager.leave()
  try {
    await proxy.retire()
    await child.send({ type: 'released' })
    await child.says('settled', AbortSignal.timeout(limits.settleMs))
    log.info({ pid: child.pid }, 'a successor serves')
  } catch (error) {
    log.error({ pid: child.pid, error: describe(error) }, 'the successor did not take over everything')
  }
  return true
}

function start(
  proxy: RunningProxy,
  { log, args }: UpgradeOptions,
): { process: Successor; exchange: ReturnType<RunningProxy['exchangeReplay']> } | null {
  // A watchdog that is meant for this process is meant for the one that takes its place.
  const { WATCHDOG_PID: _, ...env } = process.env
  try {
    const successor = Successor.start(proxy.inheritance, env, (entries) => exchange?.take(entries), args)
    const exchange = proxy.exchangeReplay((message) => successor.send(message))
    return { process: successor, exchange }
  } catch (error) {
    log.error({ error: describe(error) }, 'the successor did not start, this process goes on')
    return null
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.name === 'TimeoutError' ? 'it did not answer in time' : error.message
}
