import type { SampledFamily } from './families.ts'
import type { ThrottleSnapshot } from './stats-json.ts'

/** The throttle as `/stats` shows it. Nothing while it is off. At most `limit` caps, those of the first users. */
export function listThrottleFamilies(
  snapshot: () => ThrottleSnapshot | null,
  limit: number,
): readonly SampledFamily[] {
  const gauge = (
    name: string,
    help: string,
    labelNames: readonly string[],
    read: (throttle: ThrottleSnapshot) => ReturnType<SampledFamily['collect']>,
  ): SampledFamily => ({
    name,
    kind: 'gauge',
    help,
    labelNames,
    collect: () => {
      const throttle = snapshot()
      return throttle === null ? [] : read(throttle)
    },
  })
  return [
    gauge('throttle_active', '1 while nobody gets more than a fair share, else 0.', [], ({ active }) => [
      { labels: {}, value: active ? 1 : 0 },
    ]),
    gauge('throttle_limit', 'Connections of all users from which on shares are fair.', [], (throttle) => [
      { labels: {}, value: throttle.limit },
    ]),
    gauge('throttle_cap', 'Fair share of a user who holds more than that.', ['user'], ({ caps }) =>
      caps.slice(0, limit).map(({ name, cap }) => ({ labels: { user: name }, value: cap })),
    ),
  ]
}
