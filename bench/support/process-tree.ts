import { readdirSync, readlinkSync } from 'node:fs'

import { findListeningInodes, parseStat, readText } from './proc.ts'

/** These processes and all that descend from them, each once. */
export function listTree(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>()
  for (const pid of listNumbers('/proc')) {
    const parent = parseStat(readText(`/proc/${pid}/stat`) ?? '')?.parent
    if (parent === undefined) continue
    children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const tree = new Set<number>()
  const waiting = [...roots]
  for (let pid; (pid = waiting.pop()) !== undefined;) {
    if (tree.has(pid)) continue
    tree.add(pid)
    waiting.push(...(children.get(pid) ?? []))
  }
  return [...tree]
}

export function listThreads(pid: number): number[] {
  return listNumbers(`/proc/${pid}/task`)
}

/** Processes that hold a socket which listens on this port; none when it is not of this machine or not ours to see. */
export function findListeners(port: number): number[] {
  const inodes = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) =>
    findListeningInodes(readText(path) ?? '', port),
  )
  const sockets = new Set(inodes.map((inode) => `socket:[${inode}]`))
  if (sockets.size === 0) return []
  return listNumbers('/proc').filter((pid) => {
    const folder = `/proc/${pid}/fd`
    return listNames(folder).some((name) => sockets.has(readLink(`${folder}/${name}`)))
  })
}

function listNumbers(folder: string): number[] {
  return listNames(folder)
    .map(Number)
    .filter((number) => number > 0)
}

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return [] // ended, or somebody else's
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
