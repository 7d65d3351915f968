import type { QueryOutcome, TransportName } from './transport.ts'

/** 0: both. */
export type Family = 0 | 4 | 6

/** Where the addresses of names come from. */
export interface NameSource {
  /**
   * @param name lower case, valid by `isHostName`
   * @throws DialError `unresolved`
   */
  find(name: string, family: Family): Promise<readonly string[]>
  /** Nobody asks any more; what is on its way is still answered. */
  close(): void
}

/** Who counts. */
export interface DnsCounter {
  countQuery(transport: TransportName, outcome: QueryOutcome): void
  /** A question was answered from memory. */
  countHit(): void
}
