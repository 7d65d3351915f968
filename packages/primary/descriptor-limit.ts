import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'

/** Both sockets of a relay. */
const DESCRIPTORS_PER_CONNECTION = 2
/** Listeners, pipes, files and the two HTTP servers. */
const DESCRIPTORS_BESIDE = 100

/** Open files that the process may come to have (decision O12). */
export function countNeededDescriptors(concurrency: number): number {
  return DESCRIPTORS_PER_CONNECTION * concurrency + DESCRIPTORS_BESIDE
}

/** Say at the start when the process may run out of descriptors before `concurrency` is reached. */
export function warnAboutDescriptors(
  concurrency: number,
  log: Logger,
  limit: number = readDescriptorLimit(),
): void {
  const needed = countNeededDescriptors(concurrency)
  if (limit >= needed) return
  log.warn(
    { limit, needed },
    'the limit of open files is too low for concurrency: raise it (ulimit -n, LimitNOFILE=) or lower concurrency',
  )
}

/** The soft limit, which Node raises to the hard one at its start; no limit where the system does not tell. */
export function readDescriptorLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8')
    const found = /^Max open files\s+(\d+)/m.exec(limits)
    return found === null ? Infinity : Number(found[1])
  } catch {
    return Infinity
  }
}
