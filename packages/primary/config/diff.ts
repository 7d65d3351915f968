import { isDeepStrictEqual } from 'node:util'

import { CONFIG_KEYS, type ConfigKey, type ConfigValues, SCHEMA } from './schema.ts'

/** The keys whose value is another one now, by what a running process does with them (decision C9). */
export interface ConfigDiff {
  readonly live: readonly ConfigKey[]
  readonly restart: readonly ConfigKey[]
}

/** Compare the values of two configurations: what counts is what holds, not how it is written. */
export function diffConfig(
  before: { readonly values: ConfigValues },
  after: { readonly values: ConfigValues },
): ConfigDiff {
  const changed = CONFIG_KEYS.filter((key) => !isDeepStrictEqual(before.values[key], after.values[key]))
  return {
    live: changed.filter((key) => SCHEMA[key].reload === 'live'),
    restart: changed.filter((key) => SCHEMA[key].reload === 'restart'),
  }
}
