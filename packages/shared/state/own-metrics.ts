/** Our own families, which follow the reference's in the table of metrics. A new one goes to the end. */
import { CIPHER_NAMES } from '../config.ts'
import { DNS_TRANSPORTS, QUERY_OUTCOMES } from '../dial/dns/transport.ts'
import { HANDSHAKE_CODES, PROXY_HEADER_CODES } from '../errors.ts'
import { HANDSHAKE_LIMITS } from './handshakes.ts'
import type { Metric } from './metric.ts'
import { IP_LIST } from './reference-metrics.ts'

/** As the log names them; `other` is an end by us: a shutdown, a user who was removed, a broken record. */
export const RELAY_ENDS = ['ended', 'client-error', 'far-error', 'idle', 'other', 'quota'] as const

export const OWN_METRICS = [
  {
    name: 'replay_set_evictions',
    kind: 'counter',
    help: 'Client hellos forgotten before their time because the replay set was full.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'handshakes',
    kind: 'counter',
    help: 'Client handshakes by the way they ended.',
    labels: { outcome: ['ok', ...HANDSHAKE_CODES] },
    perDcAddress: false,
  },
  {
    name: 'hand_offs_failed',
    kind: 'counter',
    help: 'Accepted connections that could not be given to a worker thread.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'accept_errors',
    kind: 'counter',
    help: 'Errors while accepting connections, such as running out of file descriptors.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'dc_dial_failures',
    kind: 'counter',
    help: 'Data centres that could not be reached at any address.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'state_save_failures',
    kind: 'counter',
    help: 'Attempts to write the state file that failed.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'worker_event_loop_utilization',
    kind: 'gauge',
    help: 'Part of the last ten seconds in which the worker thread was busy, 0 to 1.',
    labels: {},
    perDcAddress: false,
    perWorker: true,
    unit: 1e-6,
  },
  {
    name: 'worker_event_loop_delay_seconds',
    kind: 'gauge',
    help: 'Longest time in the last ten to twenty seconds for which the worker thread could not attend to its sockets.',
    labels: {},
    perDcAddress: false,
    perWorker: true,
    unit: 1e-6,
  },
  {
    name: 'iplist_update_failures',
    kind: 'counter',
    help: 'Sources of an IP list that could not be fetched or read; their last good copy stays.',
    labels: { ip_list: IP_LIST },
    perDcAddress: false,
  },
  {
    name: 'proxy_protocol',
    kind: 'counter',
    help: 'Connections that have to begin with a PROXY header, by what they began with.',
    labels: { outcome: ['v1', 'v2', 'local', ...PROXY_HEADER_CODES] },
    perDcAddress: false,
  },
  {
    name: 'dns_queries',
    kind: 'counter',
    help: 'Questions sent to a resolver, by the way they went and how they ended.',
    labels: { transport: DNS_TRANSPORTS, outcome: QUERY_OUTCOMES },
    perDcAddress: false,
  },
  {
    name: 'dns_cache_hits',
    kind: 'counter',
    help: 'Questions for addresses of names that were answered from memory.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'domain_fronting_failures',
    kind: 'counter',
    help: 'Fronting sites that could not be reached; the connection was closed.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'relays_ended',
    kind: 'counter',
    help: 'Relays by their other end and by who ended them.',
    labels: { to: ['telegram', 'site'], how: RELAY_ENDS },
    perDcAddress: false,
  },
  {
    name: 'dc_update_failures',
    kind: 'counter',
    help: 'Addresses of data centres that could not be fetched (auto-update); the last good ones stay.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'clock_steps',
    kind: 'counter',
    help: 'How often the system clock was seen to jump by a second or more.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'unfinished_handshakes',
    kind: 'gauge',
    help: 'Client connections that have not finished their handshake and are not fronted.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'handshakes_limited',
    kind: 'counter',
    help: 'Connections closed at once because too many had not finished their handshake, in all or from their address.',
    labels: { reason: HANDSHAKE_LIMITS },
    perDcAddress: false,
  },
  {
    name: 'descriptors_exhausted',
    kind: 'counter',
    help: 'Checks, four a second, that found next to no file descriptor free: clients that come then are closed unheard.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'cipher_streams',
    kind: 'gauge',
    help: 'AES streams in use, by who does them: two for a relayed connection, four without fast-mode.',
    labels: { cipher: CIPHER_NAMES },
    perDcAddress: false,
  },
] as const satisfies readonly Metric[]
