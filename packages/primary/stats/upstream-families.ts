import type { UpstreamSnapshot } from '#shared/dial/upstream-state'
import type { SampledFamily } from './families.ts'

const STATES: Readonly<Record<UpstreamSnapshot['state'], number>> = { closed: 0, 'half-open': 1, open: 2 }

/** The ways to Telegram that the configuration names. Their label is the operator's, so they have no slots of the table. */
export function listUpstreamFamilies(list: () => readonly UpstreamSnapshot[]): readonly SampledFamily[] {
  const family = (
    kind: SampledFamily['kind'],
    name: string,
    help: string,
    read: (way: UpstreamSnapshot) => number,
  ): SampledFamily => ({
    name,
    kind,
    help,
    labelNames: ['upstream'],
    collect: () => list().map((way) => ({ labels: { upstream: way.upstream }, value: read(way) })),
  })
  return [
    family(
      'gauge',
      'upstream_state',
      'Circuit breaker of a way to Telegram: 0 closed, 1 half-open, 2 open.',
      ({ state }) => STATES[state],
    ),
    family('counter', 'upstream_dials', 'Dials by a way to Telegram.', ({ dials }) => dials),
    family(
      'counter',
      'upstream_failures',
      'Dials by a way to Telegram that failed by its fault.',
      ({ failedDials }) => failedDials,
    ),
  ]
}
