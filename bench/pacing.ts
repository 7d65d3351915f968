import { setTimeout as sleep } from 'node:timers/promises'
import { openStream } from './scenarios/download.ts'
import { MIB } from './support/scenario.ts'
import { IS_QUICK } from './support/micro.ts'
import { median } from './support/statistics.ts'
import { Child } from './support/child.ts'
import { startProxy } from './support/proxy-process.ts'

/**
 * How fast is a download in each mode of `defense.doppelganger.pacing`, over real sockets? One connection, after a
 * pause, so that "burst" begins with its paced 128 KiB; the median of the runs counts.
 *
 * "full" takes 43 s for 100 MiB, so it is measured on 6 MiB (2.6 s) and compared as a rate.
 * Run: node bench/pacing.ts [--json] [--quick]
 */
const RUNS = IS_QUICK ? 1 : 3
const LARGE_BYTES = (IS_QUICK ? 8 : 100) * MIB
const CASES = [
  { pacing: 'off', bytes: LARGE_BYTES },
  { pacing: 'burst', bytes: LARGE_BYTES },
  { pacing: 'full', bytes: IS_QUICK ? MIB / 2 : 6 * MIB },
] as const
/** A page or a picture: what is paced of it is all of it. */
const SMALL_BYTES = 128 * 1024
const SMALL_RUNS = IS_QUICK ? 1 : 7
/** Longer than what counts as a pause, with the steps of the thread's clock. */
const PAUSE_MS = 1600
const DC_SCRIPT = new URL('./support/data-centre.ts', import.meta.url)

interface Figure {
  readonly pacing: string
  readonly bytes: number
  /** Of each run. */
  readonly megabytesPerSecond: readonly number[]
  /** For the first 128 KiB behind a pause, of each run. */
  readonly smallMs: readonly number[]
}

async function measure({ pacing, bytes }: (typeof CASES)[number], dcPort: number): Promise<Figure> {
  const proxy = await startProxy({ workers: 1, dcPort, pacing })
  try {
    const stream = await openStream(proxy)
    const time = async (amount: number): Promise<number> => {
      if (pacing === 'burst') await sleep(PAUSE_MS) // the others know no pauses
      const startedAt = performance.now()
      await stream(amount, () => {})
      return performance.now() - startedAt
    }
    await stream(bytes === LARGE_BYTES ? 32 * MIB : MIB / 2, () => {}) // compiled code, grown windows
    const megabytesPerSecond: number[] = []
    const smallMs: number[] = []
    for (let run = 0; run < RUNS; run++) megabytesPerSecond.push(bytes / 1000 / (await time(bytes)))
    if (pacing !== 'full') for (let run = 0; run < SMALL_RUNS; run++) smallMs.push(await time(SMALL_BYTES))
    stream.close() // a proxy that still serves takes its time to stop
    return { pacing, bytes, megabytesPerSecond, smallMs }
  } finally {
    await proxy.stop()
  }
}

const dc = new Child('the data centre', DC_SCRIPT, [])
const dcPort = Number((await dc.next())['port'])
const figures: Figure[] = []
try {
  for (const each of CASES) figures.push(await measure(each, dcPort))
} finally {
  await dc.stop()
}
const rate = (pacing: string): number =>
  median(figures.find((figure) => figure.pacing === pacing)?.megabytesPerSecond ?? [])
const ratio = rate('burst') / rate('full')
if (process.argv.includes('--json')) console.log(JSON.stringify({ bench: 'pacing', ratio, figures }))
else {
  for (const { pacing, bytes, megabytesPerSecond, smallMs } of figures) {
    const small = smallMs.length === 0 ? '' : `, 128 KiB behind a pause in ${median(smallMs).toFixed(1)} ms`
    console.log(`${pacing}: ${bytes / MIB} MiB at ${median(megabytesPerSecond).toFixed(2)} MB/s${small}`)
  }
  console.log(`"burst" is ${ratio.toFixed(0)} times as fast as "full"`)
}
