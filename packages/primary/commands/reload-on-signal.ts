import type { Logger } from 'pino'
import { planReload } from '#primary/config/reload'
import { UsageError } from '#primary/exit'
import type { RunningProxy } from '#primary/proxy'
import type { ServiceManager } from '#primary/service-manager'
import { ConfigError, formatConfigProblem, OperatorError } from '#shared/errors'
import { readConfigFile } from './read-config-file.ts'
import type { ServedConfig } from './serve.ts'

/**
 * Take up the file again at each SIGHUP (decision C9). A file that is not valid changes nothing and is logged with
 * every problem; what needs a restart is named.
 * A signal that comes during the start waits for its end; without a handler it would end the process.
 * @returns takes the handler away
 */
export function reloadOnSignal(
  starting: Promise<RunningProxy>,
  served: ServedConfig,
  { log, manager }: { log: Logger; manager: Pick<ServiceManager, 'reloading' | 'reloaded'> },
): () => void {
  let running = served
  /** One at a time, in order: a second signal during a reload reads the file once more after it. */
  let queue = Promise.resolve()

  const reload = async (path: string): Promise<void> => {
    try {
      const { live, restart, effective } = planReload(running, await readConfigFile(path))
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
    queue = queue.then(async () => {
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
  const isOurs = !(error instanceof OperatorError || error instanceof UsageError)
  log[isOurs ? 'error' : 'warn'](
    { file: path, ...(problems === null ? { error: String(error) } : { problems: problems.length }) },
    'configuration is not reloaded, the running one stays',
  )
}
