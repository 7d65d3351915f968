import { readFileSync } from 'node:fs'

/** Files of /proc (proc_pid_stat(5), proc_net(5)). */

/** USER_HZ, fixed on every architecture Node runs on. */
const TICKS_PER_SECOND = 100
const STATE_LISTEN = '0A'

export interface Stat {
  readonly parent: number
  /** utime + stime, all threads. */
  readonly ownSeconds: number
  /** The same of children that have ended and been waited for. */
  readonly endedChildrenSeconds: number
}

/** /proc/PID/stat; null of an empty text. */
export function parseStat(text: string): Stat | null {
  // The name in parentheses may contain anything; the state is the first field after it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  if (fields.length < 15) return null
  const ticks = (from: number): number => Number(fields[from]) + Number(fields[from + 1])
  return {
    parent: Number(fields[1]),
    ownSeconds: ticks(11) / TICKS_PER_SECOND,
    endedChildrenSeconds: ticks(13) / TICKS_PER_SECOND,
  }
}

/** /proc/PID/status; 0 of a process that has ended. */
export function parseStatus(text: string): { readonly rssKib: number } {
  return { rssKib: Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) }
}

/** /proc/net/tcp and tcp6: inodes of the sockets that listen on this port. */
export function findListeningInodes(text: string, port: number): string[] {
  const inodes: string[] = []
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  for (const line of text.split('\n').slice(1)) {
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
    if (local?.endsWith(suffix) === true && state === STATE_LISTEN && inode !== undefined) inodes.push(inode)
  }
  return inodes
}

/** Null when it cannot be read: the process has ended, or belongs to somebody else. */
export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
