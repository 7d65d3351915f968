import type { ConfigKey } from './schema.ts'
import { isOutside } from './outside-text.ts'

/** Keys whose texts are secrets, apart from those that say where the secret is to be had. */
const SECRET_KEYS: readonly ConfigKey[] = ['secret', 'secrets', 'api-token']
/** Keys whose texts may hold a password before the host. */
const PROXY_KEYS: readonly ConfigKey[] = ['network.proxies', 'dc-routes']
/** And those whose query may hold a token as well. */
const URL_KEYS: readonly ConfigKey[] = [
  'network.dns',
  'defense.blocklist.urls',
  'defense.allowlist.urls',
  'defense.doppelganger.urls',
]

/** Whether the file itself holds what others must not read, for a warning when they can. */
export function holdsLiteralSecret(found: ReadonlyMap<ConfigKey, { readonly value: unknown }>): boolean {
  const textsOf = (keys: readonly ConfigKey[]): string[] =>
    keys.flatMap((key) => collectTexts(found.get(key)?.value))
  return (
    textsOf(SECRET_KEYS).some((text) => text !== '' && !isOutside(text)) ||
    textsOf(PROXY_KEYS).some((url) => url.includes('@')) ||
    textsOf(URL_KEYS).some((url) => /[@?]/.test(url))
  )
}

function collectTexts(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(collectTexts) : []
}
