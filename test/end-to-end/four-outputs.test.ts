import { test } from 'node:test'
import { moveAndCompare } from './four-outputs.ts'

test(
  'stats, Prometheus, StatsD and the state file agree with the bytes moved, over the death of a worker',
  { timeout: 60_000 },
  (t) => moveAndCompare(t, { stats: (proxy) => proxy.stats(), metrics: (proxy) => proxy.metrics() }),
)
