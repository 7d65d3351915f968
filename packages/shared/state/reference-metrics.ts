/** The reference's families (operator.md §7.1), the first part of the table of metrics: names, kinds, labels are fixed. */
import type { Metric } from './metric.ts'

const IP_FAMILY = ['ipv4', 'ipv6'] as const
export const IP_LIST = ['allowlist', 'blocklist'] as const
/** Seen from the client (operator.md §7.1). */
const DIRECTION = ['to_client', 'from_client'] as const
export type TrafficDirection = (typeof DIRECTION)[number]

export const REFERENCE_METRICS = [
  {
    name: 'client_connections',
    kind: 'gauge',
    help: 'Client connections in the hands of the worker threads, unauthenticated and fronted ones included.',
    labels: { ip_family: IP_FAMILY },
    perDcAddress: false,
  },
  {
    name: 'telegram_connections',
    kind: 'gauge',
    help: 'Connections to Telegram data centres.',
    labels: {},
    perDcAddress: true,
  },
  {
    name: 'domain_fronting_connections',
    kind: 'gauge',
    help: 'Client connections that are handed on to the fronting site.',
    labels: { ip_family: IP_FAMILY },
    perDcAddress: false,
  },
  {
    name: 'telegram_traffic',
    kind: 'counter',
    help: 'Bytes read from and written to Telegram data centres.',
    labels: { direction: DIRECTION },
    perDcAddress: true,
  },
  {
    name: 'domain_fronting_traffic',
    kind: 'counter',
    help: 'Bytes read from and written to fronting sites.',
    labels: { direction: DIRECTION },
    perDcAddress: false,
  },
  {
    name: 'domain_fronting',
    kind: 'counter',
    help: 'Decisions to hand a connection on to the fronting site.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'concurrency_limited',
    kind: 'counter',
    help: 'Connections closed at once because the concurrency limit was reached.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'replay_attacks',
    kind: 'counter',
    help: 'Client hellos that had been seen before.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'iplist_size',
    kind: 'gauge',
    help: 'Networks in an IP list. A disabled allowlist has two: all of IPv4 and all of IPv6.',
    labels: { ip_list: IP_LIST },
    perDcAddress: false,
  },
  {
    name: 'ip_blocklisted',
    kind: 'counter',
    help: 'Connections refused because the blocklist has their address, or the allowlist has it not.',
    labels: { ip_list: IP_LIST },
    perDcAddress: false,
  },
] as const satisfies readonly Metric[]
