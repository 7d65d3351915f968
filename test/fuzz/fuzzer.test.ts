import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes } from '../support/generators.ts'
import { fuzz, type FuzzResult } from './fuzzer.ts'
import { Judge } from './judge.ts'
import { parsePlanted } from './planted/planted.ts'
import { stateless, type Target } from './target.ts'

const PLANTED: Target = {
  name: 'planted',
  inputs: bytes(8),
  dictionary: [],
  maxBytes: 16,
  limitMs: 1000,
  open: () => stateless(parsePlanted),
}
/** It takes about 0.3 s; the rest is for a busy machine. */
const LIMIT_MS = 30_000

async function hunt(folders: readonly string[], maxInputs: number): Promise<FuzzResult & { kept: Buffer[] }> {
  const kept: Buffer[] = []
  const keep = (input: Buffer): string => `kept ${kept.push(input)}`
  const common = { seed: 1, progressMs: LIMIT_MS, onProgress: () => {}, maxFailures: 1 }
  const result = await fuzz({ ...common, target: PLANTED, ms: LIMIT_MS, maxInputs, folders, keep })
  return { ...result, kept }
}

test('what ran leads to a defect that chance does not find, and it is kept as small as it can be', async (t) => {
  const guided = await hunt(['test/fuzz/planted'], Infinity)
  assert.equal(guided.found.length, 1)
  assert.match(guided.found[0]?.reason ?? '', /planted/)
  assert.deepEqual(guided.kept, [Buffer.of(0x7f, 0xc8, 0x3f)])
  t.diagnostic(`after ${guided.inputs} inputs`)
  const blind = await hunt([], guided.inputs)
  assert.deepEqual(blind.found, [])
})

test('what throws, rejects or takes too long is a failure of its input', async () => {
  const judgeBy = async (run: (input: Buffer) => void | Promise<void>): Promise<string | null> => {
    const judge = new Judge({ ...PLANTED, limitMs: 20 }, stateless(run))
    const failure = await judge.judge(Buffer.of(1))
    await judge.close()
    return failure?.kind ?? null
  }
  const spin = (): void => {
    const endMs = performance.now() + 40
    while (performance.now() < endMs);
  }
  assert.equal(await judgeBy(() => {}), null)
  assert.equal(await judgeBy(() => assert.fail()), 'threw')
  assert.equal(await judgeBy(() => Promise.reject(new Error('x'))), 'threw')
  assert.equal(await judgeBy(spin), 'slow')
})
