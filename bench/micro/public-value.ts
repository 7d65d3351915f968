/**
 * What does a public value cost the client that waits for it, made ahead or not, and what a tick that makes some?
 * Processor time of the thread. Run: node bench/micro/public-value.ts [--json] [--quick]
 */
import { generatePublicValue } from '#worker/fake-tls/public-value'
import { MAX_PUBLIC_VALUES, PublicValues, VALUES_PER_TICK } from '#worker/fake-tls/public-values'
import { IS_QUICK, measureCases, printFigures, repeat, type Case } from '../support/micro.ts'

const CALLS = IS_QUICK ? 5 : 50
const TICKS = MAX_PUBLIC_VALUES / VALUES_PER_TICK

const empty = new PublicValues()
const values = new PublicValues()
/** Both at once: what is taken has been made before. */
const ahead: Case = {
  name: 'a value made by a tick, and taken',
  calls: MAX_PUBLIC_VALUES,
  run: () => {
    for (let tick = 0; tick < TICKS; tick++) values.tick()
    for (let take = 0; take < MAX_PUBLIC_VALUES; take++) values.take()
    values.tick() // is told that the thread was busy
  },
}

/** Processor time of taking alone is below what can be told in a round that also makes the values. */
function measureTake(): number {
  for (let tick = 0; tick < TICKS + 1; tick++) values.tick()
  const startedMs = performance.now()
  for (let take = 0; take < MAX_PUBLIC_VALUES; take++) values.take()
  return ((performance.now() - startedMs) * 1e6) / MAX_PUBLIC_VALUES
}

const figures = await measureCases([
  repeat('generatePublicValue', CALLS, () => void generatePublicValue()),
  repeat('take, none made', CALLS, () => void empty.take()),
  ahead,
])
printFigures('public-value', [
  ...figures,
  { name: 'take, made ahead', nsPerCall: measureTake() },
  {
    name: `a tick of ${VALUES_PER_TICK} values`,
    nsPerCall: VALUES_PER_TICK * (figures[0]?.nsPerCall ?? NaN),
  },
])
