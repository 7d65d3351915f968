import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fitWeibull, meanDelayMs } from '#primary/doppelganger/weibull'
import { UNLEARNT_PROFILE, type DelayModel } from '#shared/traffic-profile'
import { seededRandom } from '../../support/seeded-random.ts'

const SAMPLES = 4096
const MODELS: readonly DelayModel[] = [
  UNLEARNT_PROFILE.delays,
  { k: 0.8, lambdaMs: 0.5 },
  { k: 1.7, lambdaMs: 20 },
]

/** Gaps of this law as a clock with steps shows them, ns. */
function observe({ k, lambdaMs }: DelayModel, seed: number, stepNs: number): number[] {
  const random = seededRandom(seed)
  return Array.from({ length: SAMPLES }, () => {
    const ns = lambdaMs * 1e6 * (-Math.log(1 - random())) ** (1 / k)
    return Math.floor(ns / stepNs) * stepNs
  })
}

function assertClose(fitted: DelayModel | null, model: DelayModel, what: string): void {
  assert.ok(fitted !== null)
  const kOff = Math.abs(fitted.k / model.k - 1)
  const lambdaOff = Math.abs(fitted.lambdaMs / model.lambdaMs - 1)
  assert.ok(kOff < 0.05, `${what}: k is ${(kOff * 100).toFixed(1)} % off`)
  assert.ok(lambdaOff < 0.15, `${what}: λ is ${(lambdaOff * 100).toFixed(1)} % off`)
}

for (const model of MODELS) {
  test(`4096 samples give back k = ${model.k.toFixed(2)} and λ = ${model.lambdaMs.toFixed(2)} ms`, () => {
    for (const seed of [1, 2, 3, 4, 5])
      assertClose(fitWeibull(observe(model, seed, 1)), model, `seed ${seed}`)
  })
}

test('also when the clock shows some of them as nothing', () => {
  for (const stepNs of [1, 100, 1000]) {
    const [model] = MODELS
    const samples = observe(model!, 7, stepNs)
    const zeros = samples.filter((ns) => ns === 0).length
    assert.ok(zeros > 5, `only ${zeros} zeros: the case does not show what it is for`)
    assertClose(fitWeibull(samples), model!, `${zeros} zeros with a step of ${stepNs} ns`)
  }
})

test('one sample of zero does not change the fit; the reference’s collapses to k = 0.01', () => {
  const samples = observe(MODELS[1]!, 3, 1000)
  assertClose(fitWeibull([0, ...samples]), MODELS[1]!, 'one zero')
})

test('records that came in one read leave delays of a sane mean', () => {
  // Three of four records come with the one before; the rest 2 ms later or so.
  const random = seededRandom(5)
  const samples = Array.from({ length: SAMPLES }, (_, i) =>
    i % 4 === 0 ? Math.round(2e6 * (0.5 + random())) : 0,
  )
  const fitted = fitWeibull(samples)
  assert.ok(fitted !== null)
  const meanMs = samples.reduce((sum, ns) => sum + ns, 0) / SAMPLES / 1e6
  const ratio = meanDelayMs(fitted) / meanMs
  assert.ok(ratio > 0.5 && ratio < 2.5, `mean of the model / mean of the sample = ${ratio}`)
})

test('nothing to fit gives no model', () => {
  assert.equal(fitWeibull([]), null)
  assert.equal(fitWeibull([0, 0, 0]), null)
})

test('the mean of the reference’s delays is 6.755 ms, which full records make 2.42 MB/s', () => {
  const meanMs = meanDelayMs(UNLEARNT_PROFILE.delays)
  assert.ok(Math.abs(meanMs - 6.755) < 0.001, `${meanMs}`)
  assert.equal((16_379 / meanMs / 1000).toFixed(2), '2.42')
})

test('shapes that are no timing of records end at the edges', () => {
  const equal = fitWeibull(Array.from({ length: 100 }, () => 5e6))
  assert.ok(equal !== null)
  assert.ok(Math.abs(equal.k - 10) < 1e-9 && Math.abs(equal.lambdaMs - 5) < 1e-9, JSON.stringify(equal))
  const wild = fitWeibull([1, 1e90, 1e180, 1e270])
  assert.ok(wild !== null && Math.abs(wild.k - 0.01) < 1e-9, JSON.stringify(wild))
})
