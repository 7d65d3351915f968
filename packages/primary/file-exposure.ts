import type { Stats } from 'node:fs'

/** For the group and for everybody. */
const READ = { group: 0o040, others: 0o004 } as const
const WRITE = { group: 0o020, others: 0o002 } as const

export interface Exposure {
  /** What they may do: `read`, `change`, or both. */
  readonly others: 'read' | 'change' | 'read and change'
  /** As `chmod` takes it. */
  readonly mode: string
}

/**
 * What others on this host may do with a file that is for the proxy alone. The group's reading counts where we are the
 * owner; a file of root's that we read as its group (`root:mtg-multi 0640`) is as it should be.
 * @param uid of the process
 */
export function findExposure(
  { mode, uid: owner }: Pick<Stats, 'mode' | 'uid'>,
  uid: number,
): Exposure | null {
  const isOwn = owner === uid
  const readable = (mode & READ.others) !== 0 || (isOwn && (mode & READ.group) !== 0)
  const writable = (mode & (WRITE.group | WRITE.others)) !== 0
  if (!readable && !writable) return null
  const others = readable && writable ? 'read and change' : readable ? 'read' : 'change'
  return { others, mode: (mode & 0o777).toString(8).padStart(4, '0') }
}

/** Of this process; systems without users have one owner for all files. */
export const ownUid = (): number => process.getuid?.() ?? 0
