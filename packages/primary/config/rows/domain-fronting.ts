import { decodeHost, decodeIp } from '../address.ts'
import { BOOLEAN, COUNT, optional, plain, PORT } from '../formats.ts'
import type { Rows } from '../schema-row.ts'

export interface DomainFrontingValues {
  'domain-fronting.host': string | null
  'domain-fronting.ip': string | null
  'domain-fronting.port': number
  'domain-fronting.proxy-protocol': boolean
  'domain-fronting.max-connections': number
  'domain-fronting.via-proxies': boolean
}

export const DOMAIN_FRONTING_ROWS: Rows<DomainFrontingValues> = {
  'domain-fronting.host': {
    ...optional(plain(decodeHost)),
    default: null,
    reload: 'live',
    zero: 'default',
    help: 'Where strangers are sent to. Absent: the host of the secret.',
  },
  'domain-fronting.ip': {
    ...optional(plain(decodeIp)),
    default: null,
    reload: 'live',
    zero: 'default',
    deprecated: {
      instead: 'domain-fronting.host',
      ignored: 'config option "ip" in [domain-fronting] is deprecated and ignored',
    },
    help: 'Has no effect.',
  },
  'domain-fronting.port': {
    ...PORT,
    default: 443,
    reload: 'live',
    zero: 'default',
    help: 'The port of the fronting host.',
  },
  'domain-fronting.proxy-protocol': {
    ...BOOLEAN,
    default: false,
    reload: 'live',
    help: 'Tell the fronting host the address of the client in a PROXY header, version 2.',
  },
  'domain-fronting.max-connections': {
    ...COUNT,
    default: 0,
    reload: 'live',
    help: 'Fronted connections held at once. 0: half of concurrency.',
  },
  'domain-fronting.via-proxies': {
    ...BOOLEAN,
    default: false,
    reload: 'live',
    help: 'Go to the fronting host through network.proxies. Off: directly.',
  },
}
