import type { UserConfig } from '#shared/config'

import { isLoopback } from './address.ts'
import type { Place } from './place.ts'
import type { ConfigKey, DecodedValues } from './schema.ts'
import type { ConfigWarning } from './warning.ts'

/**
 * Values that are right one by one, but not together.
 * @param place where a key stands in the file
 */
export function findUnwise(values: DecodedValues, place: (key: ConfigKey) => Place): ConfigWarning[] {
  const warnings: ConfigWarning[] = []
  const warn = (key: ConfigKey, expected: string): void => {
    warnings.push({ kind: 'unwise', ...place(key), expected })
  }
  // Decision C5.
  const limit = values['throttle.max-connections']
  if (limit > values.concurrency)
    warn(
      'throttle.max-connections',
      `${limit} connections are more than concurrency (${values.concurrency}) lets in: the throttle never acts`,
    )
  // Decision O3.
  const api = values['api-bind-to']
  if (api !== null && !('path' in api) && !isLoopback(api.host) && values['api-token'] === null)
    warn(
      'api-bind-to',
      'everybody who reaches this address can read the statistics: set api-token, or bind to 127.0.0.1',
    )
  // Decision W12.
  const isPublic = values['bind-to']?.some((address) => !isLoopback(address.host)) ?? false
  const trustsAll = values['proxy-protocol-trusted'].some((network) => network.endsWith('/0'))
  if (values['proxy-protocol-listener'] && isPublic && trustsAll)
    warn(
      'proxy-protocol-listener',
      'whoever reaches bind-to can pretend to come from any address: set proxy-protocol-trusted',
    )
  if (values['defense.allowlist.enabled'] && values['defense.allowlist.urls'].length === 0)
    warn('defense.allowlist.enabled', 'defense.allowlist.urls is empty: nobody gets in')
  if (values['defense.blocklist.enabled'] && values['defense.blocklist.urls'].length === 0)
    warn('defense.blocklist.enabled', 'defense.blocklist.urls is empty: nobody is refused')
  return warnings
}

/** Quotas that are forgotten with a restart. */
export function findForgottenQuotas(
  users: readonly UserConfig[],
  hasNoFile: boolean,
  place: (key: ConfigKey) => Place,
): ConfigWarning[] {
  if (!hasNoFile || users.every(({ quota }) => quota === null)) return []
  const expected = 'not set: what users have used of their quotas is forgotten with a restart or an upgrade'
  return [{ kind: 'unwise', ...place('state-file'), expected }]
}
