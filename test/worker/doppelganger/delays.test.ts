import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UNLEARNT_PROFILE, type DelayModel } from '#shared/traffic-profile'
import { drawDelay } from '#worker/doppelganger/delays'
import { seededRandom } from '../../support/seeded-random.ts'

const SAMPLES = 4096
/** The greatest distance between sample and law that chance alone exceeds once in a thousand times. */
const KS_LIMIT = 1.95 / Math.sqrt(SAMPLES)

const MODELS: readonly DelayModel[] = [
  UNLEARNT_PROFILE.delays,
  { k: 1, lambdaMs: 12 },
  { k: 2.5, lambdaMs: 0.4 },
]

const draw = (model: DelayModel, seed: number): number[] => {
  const random = seededRandom(seed)
  return Array.from({ length: SAMPLES }, () => drawDelay(model, random))
}

/** Kolmogorov–Smirnov: the greatest distance between the sample's distribution and the model's. */
function distance(delays: readonly number[], { k, lambdaMs }: DelayModel): number {
  const law = (ms: number): number => 1 - Math.exp(-((ms / lambdaMs) ** k))
  return Math.max(
    ...delays
      .toSorted((a, b) => a - b)
      .map((ms, i) => Math.max(Math.abs(law(ms) - i / SAMPLES), Math.abs(law(ms) - (i + 1) / SAMPLES))),
  )
}

for (const model of MODELS) {
  test(`delays with k = ${model.k.toFixed(2)} follow the law, and no other`, () => {
    for (const seed of [1, 2, 3]) {
      const delays = draw(model, seed)
      assert.ok(distance(delays, model) < KS_LIMIT, `${distance(delays, model)} with seed ${seed}`)
      const other = { k: model.k * 1.15, lambdaMs: model.lambdaMs }
      assert.ok(distance(delays, other) > KS_LIMIT, 'the test would notice')
    }
  })
}

test('the edges of chance: no delay is negative, endless, or longer than a second', () => {
  for (const u of [0, 1 - 2 ** -32, 2 ** -32, 0.5]) {
    const ms = drawDelay({ k: 0.1, lambdaMs: 100 }, () => u)
    assert.ok(ms >= 0 && ms <= 1000, `${ms}`)
  }
})
