import type { DelayModel } from '#shared/traffic-profile'

/** Shapes outside of this are no timing of records. */
const MIN_K = 0.01
const MAX_K = 10
/** Halves the range to less than the precision of a double. */
const BISECTIONS = 70
const NS_PER_MS = 1e6

/**
 * Maximum-likelihood fit of a Weibull distribution (wire.md §9.4).
 *
 * Times are seen through a clock with steps: a sample of zero only says "less than one step", and as it stands it would
 * take the likelihood to infinity. It counts as half a step (decision W11). The step is the smallest time that was seen:
 * records that came in one read of the socket differ by nothing, whatever the clock could tell.
 * @returns null when there is nothing to fit
 */
export function fitWeibull(samplesNs: readonly number[]): DelayModel | null {
  const stepNs = samplesNs.reduce((least, ns) => (ns > 0 && ns < least ? ns : least), Infinity)
  if (stepNs === Infinity) return null
  const logs = samplesNs.map((ns) => Math.log((ns > 0 ? ns : stepNs / 2) / NS_PER_MS))
  const meanLog = logs.reduce((sum, log) => sum + log, 0) / logs.length
  let low = MIN_K
  let high = MAX_K
  for (let i = 0; i < BISECTIONS; i++) {
    const k = (low + high) / 2
    const { sum, weighted } = sumPowers(logs, k)
    // The derivative of the likelihood by k: falls with k, and is zero at the best one.
    if (1 / k + meanLog - weighted / sum > 0) low = k
    else high = k
  }
  const k = (low + high) / 2
  return { k, lambdaMs: (sumPowers(logs, k).sum / logs.length) ** (1 / k) }
}

/** Σ xᵏ and Σ xᵏ ln x. */
function sumPowers(logs: readonly number[], k: number): { sum: number; weighted: number } {
  let sum = 0
  let weighted = 0
  for (const log of logs) {
    const power = Math.exp(k * log)
    sum += power
    weighted += power * log
  }
  return { sum, weighted }
}

/** The mean of the delays that a model draws, ms: λ · Γ(1 + 1/k). */
export function meanDelayMs({ k, lambdaMs }: DelayModel): number {
  return lambdaMs * gamma(1 + 1 / k)
}

/** Lanczos' approximation, good to 15 digits for x ≥ 1. */
function gamma(x: number): number {
  const z = x - 1
  const t = z + LANCZOS_G + 0.5
  const series = LANCZOS.reduce((sum, factor, i) => (i === 0 ? factor : sum + factor / (z + i)), 0)
  return Math.sqrt(2 * Math.PI) * t ** (z + 0.5) * Math.exp(-t) * series
}

const LANCZOS_G = 7
const LANCZOS = [
  0.999_999_999_999_809_93, 676.520_368_121_885_1, -1259.139_216_722_402_8, 771.323_428_777_653_13,
  -176.615_029_162_140_6, 12.507_343_278_686_905, -0.138_571_095_265_720_12, 9.984_369_578_019_571_6e-6,
  1.505_632_735_149_311_6e-7,
]
