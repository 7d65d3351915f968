import { CIPHER_NAMES, type CipherChoice } from '#shared/config'
import { decodeAutoOrInteger, decodeOneOf } from '../decoders.ts'
import { BOOLEAN, plain } from '../formats.ts'
import type { Rows } from '../schema-row.ts'

/** One thread per core is the most that helps; no machine we know of has more cores. */
export const MAX_WORKERS = 256

export interface PerformanceValues {
  'performance.workers': number | 'auto'
  'performance.fast-mode': boolean
  'performance.cipher': CipherChoice
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
    help: 'Pass what data centres send on without encrypting it once more. SECURITY.md has the price.',
  },
  'performance.cipher': {
    ...plain(decodeOneOf(['auto', ...CIPHER_NAMES])),
    default: 'auto',
    reload: 'restart',
    help: 'AES by node:crypto ("node") or by its OpenSSL called directly ("native"). "auto" is native where it works.',
  },
}
