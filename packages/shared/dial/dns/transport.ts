import type { DnsAnswer, Question } from './message.ts'

/** How questions get to a name server. */
export interface DnsTransport {
  readonly name: TransportName
  /**
   * Ask one question; several at once are fine.
   * @throws Error with the reason when there is no answer, or when `signal` fires
   */
  ask(question: Question, signal: AbortSignal): Promise<DnsAnswer>
  /** Connections close as soon as the last question is answered. Calling it twice is fine. */
  close(): void
}

/** What a query went over; also a label of the counter. */
export const DNS_TRANSPORTS = ['system', 'udp', 'tcp', 'tls', 'https'] as const
export type TransportName = (typeof DNS_TRANSPORTS)[number]

/** How one query ended; also a label of the counter. */
export const QUERY_OUTCOMES = ['ok', 'no-address', 'truncated', 'failed', 'timeout'] as const
export type QueryOutcome = (typeof QUERY_OUTCOMES)[number]

/** A connection without a question is closed after this long: long enough for a storm, too short for a NAT to forget. */
export const IDLE_CLOSE_MS = 10_000

/** Whoever holds this ends the wait for an answer. */
export function cancelled(): Error {
  return new Error('cancelled')
}
