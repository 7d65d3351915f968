/**
 * `npm run fuzz -- --target NAME --seconds N --seed N`, or `--all`: the targets one after the other, the time shared among
 * them. Ends with 1 when something was found; the input is in test/fuzz/corpus/<target> then.
 * `--keep` puts the inputs that reach the most in place of those that are kept for it.
 */
import { parseArgs } from 'node:util'
import { replaceReached } from './corpus.ts'
import { fuzz } from './fuzzer.ts'
import { TARGETS } from './targets.ts'

/** What is kept is run by every `npm test`. */
const MAX_KEPT = 24
const PROGRESS_MS = 10_000
/** A difference between two large values is told by its beginning. */
const REASON_LINES = 25

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true },
    all: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '3600' },
    seed: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})
const names = values.target ?? []
const chosen = TARGETS.filter(({ name }) => values.all || names.includes(name))
const seconds = Number(values.seconds)
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed)
if (chosen.length === 0 || !(seconds > 0) || !Number.isSafeInteger(seed)) {
  process.stderr.write(
    `usage: npm run fuzz -- (--all | --target NAME …) [--seconds N] [--seed N] [--keep]\n` +
      `targets: ${TARGETS.map(({ name }) => name).join(', ')}\n`,
  )
  process.exit(2)
}

process.stdout.write(`seed ${seed}\n`)
let failures = 0
for (const target of chosen) {
  const tell = (what: string): void => void process.stdout.write(`${target.name}: ${what}\n`)
  const { found, essence, ...end } = await fuzz({
    target,
    ms: (seconds * 1000) / chosen.length,
    seed,
    progressMs: PROGRESS_MS,
    onProgress: (now) => tell(`${now.inputs} inputs, ${now.reached} reached by ${now.corpus}`),
  })
  tell(`${end.inputs} inputs, ${end.reached} reached by ${end.corpus}, ${end.failures} failures`)
  for (const { path, reason } of found)
    tell(`${path}\n${reason.split('\n').slice(0, REASON_LINES).join('\n')}`)
  failures += found.length
  if (values.keep) replaceReached(target.name, essence.slice(0, MAX_KEPT))
}
process.exitCode = failures > 0 ? 1 : 0
