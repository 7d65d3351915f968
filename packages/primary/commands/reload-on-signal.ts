import type { Logger } from 'pino'
import { planReload } from '#primary/config/reload'
import { UsageError } from '#primary/exit'
import type { RunningProxy } from '#primary/proxy'
import type { ServiceManager } from '#primary/service-manager'
import { ConfigError, formatConfigProblem, OperatorError } from '#shared/errors'
import { logConfigWarnings } from './log-config-warnings.ts'
import { readConfigFile } from './read-config-file.ts'
import type { ServedConfig } from './serve.ts'

/**
 * Take up the file again at each SIGHUP (decision C9). A file that is not valid changes nothing and is logged with
 * every problem; what needs a restart is named. Signals that come during the start or a reload are one reload after it.
 * @returns takes the handler away
 */
export function reloadOnSignal(
  starting: Promise<RunningProxy>,
  served: ServedConfig,
  { log, manager }: { log: Logger; manager: Pick<ServiceManager, 'reloading' | 'reloaded'> },
): () => void {
  let running = served
  /** One at a time, after the start. */
  let queue: Promise<unknown> = starting.catch(() => {}) // the caller's
  let isWaiting = false

  const reload = async (path: string): Promise<void> => {
    try {
      const file = { ...(await readConfigFile(path)), path }
      logConfigWarnings(file, log)
      const { live, restart, effective } = planReload(running, file)
      await (await starting).reload(effective.config)
      running = { ...effective, path }
      log.info({ file: path, changed: live }, 'configuration has been reloaded')
      if (restart.length > 0) {
        log.warn({ file: path, restart }, 'these keys have changed and need a restart')
      }
    } catch (error) {
      reportFailure(error, path, log)
    }
  }
  const onSignal = (): void => {
    const { path } = running
    if (path === null) {
      log.warn('there is no configuration file to reload')
      return
    }
    if (isWaiting) return // the one that waits reads what the file says by then
    isWaiting = true
    queue = queue.then(async () => {
      isWaiting = false
      manager.reloading()
      await reload(path)
      manager.reloaded()
    })
  }
  process.on('SIGHUP', onSignal)
  return () => process.off('SIGHUP', onSignal)
}

function reportFailure(error: unknown, path: string, log: Logger): void {
  const problems =
    error instanceof OperatorError && error.cause instanceof ConfigError ? error.cause.problems : null
  for (const problem of problems ?? []) {
    log.warn({ file: path, path: problem.path }, `configuration: ${formatConfigProblem(problem)}`)
  }
  const message = 'configuration is not reloaded, the running one stays'
  if (problems !== null) log.warn({ file: path, problems: problems.length }, message)
  else if (error instanceof OperatorError || error instanceof UsageError)
    log.warn({ file: path, error: error.message }, message)
  else log.error({ file: path, error }, message)
}
