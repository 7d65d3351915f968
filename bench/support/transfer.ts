import { format, GIB, MIB } from './bench.ts'
import type { Figures, Measurement } from './bench.ts'

/** Download and upload answer the same question, each for its direction. */
export function computeTransfer({ cpu, load }: Measurement): Figures {
  return {
    mibPerSecond: load.units / MIB / load.wallSeconds,
    cpuSecondsPerGib: (cpu.total / load.units) * GIB,
    workerSecondsPerGib: (cpu.workers / load.units) * GIB,
    primarySecondsPerGib: (cpu.primary / load.units) * GIB,
  }
}

export function describeTransfer(figures: Figures): string {
  const total = format(figures, 'cpuSecondsPerGib', 2)
  const workers = format(figures, 'workerSecondsPerGib', 2)
  const primary = format(figures, 'primarySecondsPerGib', 2)
  return `${total} CPU s/GiB (workers ${workers}, primary ${primary}) at ${format(figures, 'mibPerSecond', 0)} MiB/s`
}
