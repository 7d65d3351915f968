import type { ProxyConfig } from '#shared/config'
import { BugError } from '#shared/errors'
import { buildConfig } from './build.ts'
import { diffConfig, type ConfigDiff } from './diff.ts'
import type { ReadConfig } from './read.ts'

/** What a running process takes up of a changed file (decision C9). */
export interface ReloadPlan extends ConfigDiff {
  /** The new values, with those that need a restart as they are now. */
  readonly effective: ReadConfig & { readonly config: ProxyConfig }
}

/** Compare what runs with what the file says now. */
export function planReload(running: ReadConfig, file: ReadConfig): ReloadPlan {
  const diff = diffConfig(running, file)
  const kept = Object.fromEntries(diff.restart.map((key) => [key, running.values[key]]))
  const values = { ...file.values, ...kept }
  const { config } = buildConfig(values, file.config.users)
  if (config === null) throw new BugError('two sound configurations became one that is not')
  return { ...diff, effective: { ...file, values, config } }
}
