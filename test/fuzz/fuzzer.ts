import * as fc from 'fast-check'
import { seededRandom } from '../support/seeded-random.ts'
import { keepInput, readCorpus } from './corpus.ts'
import { Coverage } from './coverage.ts'
import { type Failure, Judge } from './judge.ts'
import { below, mutate, pick, type Random } from './mutate.ts'
import type { Target } from './target.ts'
import { Watchdog } from './watchdog.ts'

/** Drawn from the generator before anything is changed. */
const FIRST_INPUTS = 40
/** One in so many inputs is a fresh one. */
const FRESH_EACH = 200
/** Inputs between two looks at what ran, which cost more than most inputs do. */
const BATCH = 16
/** A defect is met again and again: after so many the target has to be mended first. */
const MAX_FAILURES = 10
const SHRINK_TRIES = 400
/** Below this an input is as good as none in size. */
const SMALL_BYTES = 200

export interface FuzzOptions {
  readonly target: Target
  readonly ms: number
  readonly seed: number
  readonly onProgress: (progress: FuzzProgress) => void
  readonly progressMs: number
  readonly maxInputs?: number
  readonly maxFailures?: number
  /** Where code is watched, from the root of the repository; our own by default. */
  readonly folders?: readonly string[]
  /** Takes an input that failed, and says where it is; into the corpus by default. */
  readonly keep?: (input: Buffer) => string
}

export interface FuzzProgress {
  readonly inputs: number
  /** Distinct blocks with the magnitude of their count. */
  readonly reached: number
  /** Inputs that reached something first. */
  readonly corpus: number
  readonly failures: number
}

export interface FuzzResult extends FuzzProgress {
  readonly found: readonly { readonly path: string; readonly reason: string }[]
  /** The smallest set of inputs that was seen to reach everything, by greed. */
  readonly essence: readonly Buffer[]
}

interface Known {
  readonly input: Buffer
  readonly features: readonly string[]
}

/** Change inputs that are known to reach something, keep those that reach more, and tell which ones break a rule. */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { target, onProgress, progressMs } = options
  const random = seededRandom(options.seed)
  const { maxInputs = Infinity, maxFailures = MAX_FAILURES, folders = ['packages'] } = options
  const { keep = (input) => keepInput(target.name, 'failed', input) } = options
  const libraries = (target.libraries ?? []).map((name) => `node_modules/${name}`)
  const coverage = new Coverage([...folders, ...libraries])
  const judge = new Judge(target, await target.open())
  const watchdog = new Watchdog(target.name, target.maxBytes)
  const dictionary = target.dictionary.map((word) => Buffer.from(word))
  const reached = new Set<string>()
  const reachedByBatches = new Set<string>()
  const known: Known[] = []
  const found: { path: string; reason: string }[] = []
  let inputs = 0

  const feed = async (input: Buffer): Promise<Failure> => {
    watchdog.begin(input)
    const failure = await judge.judge(input)
    watchdog.end()
    return failure
  }
  const fail = async (input: Buffer, failure: NonNullable<Failure>): Promise<void> => {
    const smallest = await shrink(input, failure, feed, random)
    found.push({ path: keep(smallest), reason: failure.reason })
  }
  /** One look for all of them, and one for each only when they reached something new together. */
  const tryBatch = async (batch: readonly Buffer[]): Promise<void> => {
    const sound: Buffer[] = []
    for (const input of batch) {
      const failure = await feed(input)
      if (failure === null) sound.push(input)
      else await fail(input, failure)
      inputs += 1
    }
    if (!addAll(reachedByBatches, coverage.take())) return
    for (const input of sound) {
      if ((await feed(input)) !== null) continue // it depends on what came before, and the first time it was sound
      const features = coverage.take()
      if (addAll(reached, features)) known.push({ input, features })
    }
  }
  const progress = (): FuzzProgress => ({
    inputs,
    reached: reached.size,
    corpus: known.length,
    failures: found.length,
  })

  coverage.take() // what opening the target ran is not the merit of any input
  const endMs = performance.now() + options.ms
  let nextProgressMs = performance.now() + progressMs
  const queue = [
    ...readCorpus(target.name).map(({ input }) => input),
    ...fc.sample(target.inputs, { numRuns: FIRST_INPUTS, seed: options.seed }),
  ]
  const isOver = (): boolean =>
    performance.now() >= endMs || inputs >= maxInputs || found.length >= maxFailures
  try {
    while (!isOver()) {
      const batch = Array.from({ length: BATCH }, () => queue.shift() ?? next())
      await tryBatch(batch.map((input) => input.subarray(0, target.maxBytes)))
      const failure = await judge.settle()
      if (failure !== null) found.push({ path: '(one of the last inputs)', reason: failure.reason })
      if (performance.now() < nextProgressMs) continue
      nextProgressMs += progressMs
      onProgress(progress())
    }
  } finally {
    coverage.close()
    await watchdog.close()
    await judge.close()
  }
  return { ...progress(), found, essence: distil(known) }

  function next(): Buffer {
    if (known.length === 0 || below(random, FRESH_EACH) === 0)
      return fc.sample(target.inputs, { numRuns: 1, seed: below(random, 2 ** 31) })[0]!
    // The newest ones have led to fewer others yet.
    const isRecent = random() < 0.5
    const from = isRecent ? Math.max(0, known.length - 20) : 0
    const { input } = known[from + below(random, known.length - from)]!
    return mutate(input, { random, dictionary, other: pick(random, known).input, maxBytes: target.maxBytes })
  }
}

/** Whether any of them was new. */
function addAll(known: Set<string>, features: readonly string[]): boolean {
  const before = known.size
  for (const feature of features) known.add(feature)
  return known.size > before
}

/** Take parts away while the same kind of failure stays. */
async function shrink(
  input: Buffer,
  { kind }: NonNullable<Failure>,
  feed: (input: Buffer) => Promise<Failure>,
  random: Random,
): Promise<Buffer> {
  if (kind !== 'threw') return input
  let smallest = input
  for (let tries = 0; tries < SHRINK_TRIES && smallest.length > 1; tries++) {
    const bytes = 1 + below(random, Math.max(1, smallest.length >> (tries % 6)))
    const at = below(random, smallest.length)
    const shorter = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + bytes)])
    if ((await feed(shorter))?.kind === kind) smallest = shorter
  }
  return smallest
}

/** Inputs that together reach all that was reached, those that add most for their size first. */
function distil(known: readonly Known[]): Buffer[] {
  const chosen: Buffer[] = []
  const missing = new Set(known.flatMap(({ features }) => features))
  while (missing.size > 0) {
    let best: Known | null = null
    let bestWorth = 0
    for (const candidate of known) {
      const added = candidate.features.filter((feature) => missing.has(feature)).length
      const worth = added / (SMALL_BYTES + candidate.input.length)
      if (worth > bestWorth) [best, bestWorth] = [candidate, worth]
    }
    if (best === null) break
    for (const feature of best.features) missing.delete(feature)
    chosen.push(best.input)
  }
  return chosen
}
