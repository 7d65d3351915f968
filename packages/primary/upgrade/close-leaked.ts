import { closeSync, fstatSync, readdirSync } from 'node:fs'

/** Standard streams, and the channel to the process before us. */
const FIRST_FD = 4
/** Of this process: Linux, and the others. */
const DESCRIPTOR_FOLDERS = ['/proc/self/fd', '/dev/fd']

/**
 * Close the clients' sockets of the process before us. Node moves a socket between threads by a duplicate that child
 * processes inherit, and a connection would not end before the last of its descriptors is closed. To be called before this
 * process has opened a socket of its own.
 * @param handed those that are meant for us
 */
export function closeLeakedSockets(handed: ReadonlySet<number>): void {
  for (const fd of listDescriptors()) {
    if (fd < FIRST_FD || handed.has(fd)) continue
    try {
      if (fstatSync(fd).isSocket()) closeSync(fd)
    } catch {
      // The one that the list was read with.
    }
  }
}

function listDescriptors(): number[] {
  for (const folder of DESCRIPTOR_FOLDERS) {
    try {
      return readdirSync(folder).map(Number)
    } catch {
      // Another system.
    }
  }
  return []
}
