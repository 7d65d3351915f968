import { cpuPerUnit } from './cpu-figures.ts'
import { type Figures, format, GIB, type Measurement, MIB } from './scenario.ts'

/** Download and upload answer the same question, each for its direction. */
export function computeTransfer(measurement: Measurement): Figures {
  const { load, rssAfterKib } = measurement
  return {
    ...cpuPerUnit(
      measurement,
      { total: 'cpuSecondsPerGib', workers: 'workerSecondsPerGib', primary: 'primarySecondsPerGib' },
      GIB,
    ),
    mibPerSecond: load.units / MIB / load.wallSeconds,
    rssMib: rssAfterKib / 1024,
  }
}

export function describeTransfer(figures: Figures): readonly string[] {
  const total = format(figures, 'cpuSecondsPerGib', 2)
  const workers = format(figures, 'workerSecondsPerGib', 2)
  const primary = format(figures, 'primarySecondsPerGib', 2)
  const rate = format(figures, 'mibPerSecond', 0)
  const rss = format(figures, 'rssMib', 0)
  return [`${total} CPU s/GiB (workers ${workers}, primary ${primary}) at ${rate} MiB/s, RSS ${rss} MiB`]
}
