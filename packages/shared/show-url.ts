/** What a log or an error may show of a URL: no credentials, and no query, which can hold a token. */
export function showUrl(url: string): string {
  const parsed = URL.parse(url)
  if (parsed === null) return 'something that is no URL'
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}${parsed.search === '' ? '' : '?…'}`
}
