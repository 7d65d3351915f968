import type { DelayModel } from '#shared/traffic-profile'

/** One in 70,000 of the reference's delays is longer; a model that was learnt badly must not stall a connection. */
const MAX_DELAY_MS = 1000

/**
 * Draw a delay between two records, ms.
 * @param random uniform in [0, 1)
 */
export function drawDelay({ k, lambdaMs }: DelayModel, random: () => number): number {
  const u = 1 - random() // (0, 1]: the logarithm of 0 would be a delay without end
  return Math.min(MAX_DELAY_MS, lambdaMs * (-Math.log(u)) ** (1 / k))
}
