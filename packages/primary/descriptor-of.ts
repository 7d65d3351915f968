import type { Server } from 'node:net'

/**
 * The descriptor that a server listens on, for another process to go on with; null before it listens, after it has been
 * closed, and where Node does not tell. Node has no public name for it.
 */
export function descriptorOf(server: Server): number | null {
  const { _handle: handle } = server as unknown as { _handle?: { fd?: unknown } | null } // private to Node
  const fd = handle?.fd
  return typeof fd === 'number' && fd >= 0 ? fd : null
}
