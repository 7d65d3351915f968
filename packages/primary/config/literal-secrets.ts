import type { ConfigKey } from './schema.ts'
import { isOutside } from './outside-text.ts'

/** Keys whose texts are secrets, apart from those that say where the secret is to be had. */
const SECRET_KEYS: readonly ConfigKey[] = ['secret', 'secrets', 'api-token']
/** Keys whose texts may hold a password. */
const PROXY_KEYS: readonly ConfigKey[] = ['network.proxies', 'dc-routes']

/** Whether the file itself holds what others must not read, for a warning when they can. */
export function holdsLiteralSecret(found: ReadonlyMap<ConfigKey, { readonly value: unknown }>): boolean {
  const proxies = PROXY_KEYS.flatMap((key) => collectTexts(found.get(key)?.value))
  return (
    SECRET_KEYS.some((key) =>
      collectTexts(found.get(key)?.value).some((text) => text !== '' && !isOutside(text)),
    ) || proxies.some((url) => url.includes('@'))
  )
}

function collectTexts(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(collectTexts) : []
}
