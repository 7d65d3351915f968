/** Milliseconds of the clock that all threads of the process share and nobody sets, whole. */
export function monotonicMs(): number {
  return Math.floor(Number(process.hrtime.bigint() / 1_000_000n))
}
