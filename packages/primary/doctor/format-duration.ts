/**
 * A duration as Go writes it, rounded to microseconds: `850µs`, `12.5ms`, `1.25s`, `1m2s` (operator.md §3 prints
 * drift and round trips so).
 */
export function formatDuration(durationMs: number): string {
  const sign = durationMs < 0 ? '-' : ''
  const us = Math.round(Math.abs(durationMs) * 1000)
  if (us === 0) return '0s'
  if (us < 1000) return `${sign}${us}µs`
  if (us < 1_000_000) return `${sign}${us / 1000}ms`
  const hours = Math.floor(us / 3_600_000_000)
  const minutes = Math.floor(us / 60_000_000) % 60
  const seconds = (us % 60_000_000) / 1_000_000
  const head = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : ''
  return `${sign}${head}${seconds}s`
}
