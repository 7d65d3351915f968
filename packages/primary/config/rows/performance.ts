import { decodeAutoOrInteger } from '../decoders.ts'
import { BOOLEAN, plain } from '../formats.ts'
import type { Rows } from '../schema-row.ts'

/** One thread per core is the most that helps; no machine we know of has more cores. */
export const MAX_WORKERS = 256

export interface PerformanceValues {
  'performance.workers': number | 'auto'
  'performance.fast-mode': boolean
}

export const PERFORMANCE_ROWS: Rows<PerformanceValues> = {
  'performance.workers': {
    ...plain(decodeAutoOrInteger(1, MAX_WORKERS)),
    default: 'auto',
    reload: 'restart',
    help: 'Worker threads. "auto": one per available core.',
  },
  'performance.fast-mode': {
    ...BOOLEAN,
    default: true,
    reload: 'live',
    help: 'Pass what data centres send on without encrypting it once more (decision W8).',
  },
}
