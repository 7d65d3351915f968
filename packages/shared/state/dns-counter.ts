import type { DnsCounter } from '../dial/dns/name-source.ts'
import type { CounterRow } from './counters.ts'
import { slot } from './layout.ts'

const HITS = slot('dns_cache_hits')

/** Counts in a thread's row what its resolver does. */
export function countDnsIn(row: CounterRow): DnsCounter {
  return {
    countQuery: (transport, outcome) => row.add(slot('dns_queries', { transport, outcome }), 1),
    countHit: () => row.add(HITS, 1),
  }
}
