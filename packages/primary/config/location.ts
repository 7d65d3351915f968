import { describeValue, maskUserInfo } from './describe.ts'

const MAX_SHOWN_LENGTH = 120
const MAX_HOST_PORT = 65_535

/** A URL of the configuration, taken apart. */
export interface Location {
  /** Lower case, without the colon. */
  readonly scheme: string
  readonly username: string | null
  readonly password: string | null
  /** IP literal without brackets, or a name. Never empty. */
  readonly host: string
  /** null: not given. */
  readonly port: number | null
  /** With its slash; empty if there is none. */
  readonly path: string
  readonly query: URLSearchParams
}

/** The URL in a text, or null if it is none, has no `//`, or no host. Schemes are known in any letter case. */
export function parseLocation(text: string): Location | null {
  const [whole, scheme] = /^([a-z][a-z0-9+.-]*):\/\/[^\s/?#]/i.exec(text) ?? []
  // By the rules for unknown schemes, whatever the scheme: those for https rewrite what they do not like.
  const url = whole === undefined || scheme === undefined ? null : URL.parse(text.replace(scheme, 'location'))
  if (url === null || scheme === undefined || url.hostname === '') return null
  const port = url.port === '' ? null : Number(url.port)
  if (port !== null && (port < 1 || port > MAX_HOST_PORT)) return null
  const hasUser = /^[^/?#]*\/\/[^/?#]*@/.test(text)
  try {
    return {
      scheme: scheme.toLowerCase(),
      username: hasUser ? decodeURIComponent(url.username) : null,
      password: hasUser ? decodeURIComponent(url.password) : null,
      host: decodeURIComponent(url.hostname.replace(/^\[|\]$/g, '')),
      port,
      path: url.pathname,
      query: url.searchParams,
    }
  } catch {
    // A percent sign that begins no escape.
    return null
  }
}

/** What an error may show of a text that was meant to be a URL or a path: no credentials, no query, no bare secret. */
export function describeLocation(found: unknown): string {
  if (typeof found !== 'string' || !/^(?:[a-z][a-z0-9+.-]*:\/\/|~?\.{0,2}\/)/i.test(found))
    return describeValue(found)
  const shown = maskUserInfo(found).replace(/[?#][^]*$/, '?…')
  return JSON.stringify(shown.length > MAX_SHOWN_LENGTH ? `${shown.slice(0, MAX_SHOWN_LENGTH)}…` : shown)
}
