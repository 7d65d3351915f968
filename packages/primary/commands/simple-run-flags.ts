import type { Options } from 'yargs'

/** What the reference uses when `--doh-ip` is not given. */
export const DEFAULT_DOH_IP = '1.1.1.1'
export const DEFAULT_TIMEOUT = '10s'

const text = (alias: string | undefined, describe: string, shownDefault?: string): Options => ({
  ...(alias === undefined ? {} : { alias }),
  type: 'string',
  describe,
  requiresArg: true,
  ...(shownDefault === undefined ? {} : { defaultDescription: shownDefault }),
})

/** The flags of `simple-run` (operator.md §2.3). Their values are decoded with the configuration they become. */
export const SIMPLE_RUN_FLAGS = {
  debug: { alias: 'd', type: 'boolean', default: false, describe: 'Log every connection' },
  concurrency: text('c', 'Connections held at once', '8192'),
  'tcp-buffer': text('b', 'Ignored', '4KB'),
  'prefer-ip': text('i', 'prefer-ipv4, prefer-ipv6, only-ipv4 or only-ipv6', 'prefer-ipv6'),
  'domain-fronting-port': text('p', 'Port of the fronting host', '443'),
  'domain-fronting-host': text(undefined, 'Fronting host', 'that of the secret'),
  'domain-fronting-ip': text(undefined, 'Deprecated and ignored: use --domain-fronting-host'),
  'doh-ip': text('n', 'Resolve names by DNS over HTTPS at this address', DEFAULT_DOH_IP),
  timeout: text('t', 'One outbound connect, one HTTP request', DEFAULT_TIMEOUT),
  'socks5-proxy': {
    ...text('s', 'SOCKS5 server on the way to Telegram; several: repeat it, or separate by commas'),
    array: true,
  },
  'antireplay-cache-size': text('a', 'Memory for the hellos that have been seen', '16mib'),
  'proxy-protocol-listener': {
    type: 'boolean',
    default: false,
    describe: 'Every client connection begins with a PROXY header',
  },
} as const satisfies Record<string, Options>

export type SimpleRunFlag = keyof typeof SIMPLE_RUN_FLAGS

/** What was given: the last text of each flag that has one, and all of `--socks5-proxy`. */
export interface GivenFlags {
  readonly debug: boolean
  readonly proxyProtocolListener: boolean
  readonly socks5Proxies: readonly string[]
  readonly texts: Readonly<Partial<Record<SimpleRunFlag, string>>>
}

/** @param parsed flags by name; one that was repeated is an array */
export function collectFlags(parsed: Readonly<Record<string, unknown>>): GivenFlags {
  const last = (flag: SimpleRunFlag): unknown => [parsed[flag]].flat().at(-1)
  const texts: Partial<Record<SimpleRunFlag, string>> = {}
  // The keys of an object literal are exactly its keys, which Object.keys forgets.
  for (const flag of Object.keys(SIMPLE_RUN_FLAGS) as readonly SimpleRunFlag[]) {
    const text = last(flag)
    if (typeof text === 'string') texts[flag] = text
  }
  return {
    debug: last('debug') === true,
    proxyProtocolListener: last('proxy-protocol-listener') === true,
    socks5Proxies: [parsed['socks5-proxy'] ?? []].flat().map(String),
    texts,
  }
}
