import { readFileSync } from 'node:fs'

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6']
const LISTEN = '0A'

/**
 * Connections that whoever listens on the port has accepted and not closed, as `ss -tan` shows them, read from where it
 * reads. Linux. The tables also have what the kernel ends by itself, tens of thousands of rows after a storm of
 * clients: only those of the port are looked at.
 */
export function countAccepted(port: number): number {
  return TABLES.reduce((count, table) => count + countIn(readFileSync(table, 'latin1'), port), 0)
}

/** Rows are `sl: local:port remote:port state tx:rx tr:when retransmits uid timeout inode …`, addresses and ports in hex. */
function countIn(table: string, port: number): number {
  const needle = `:${port.toString(16).toUpperCase().padStart(4, '0')} `
  // By inode: the table is read some rows at a time, and one may come twice when others come and go meanwhile.
  const found = new Set<string>()
  for (let at = table.indexOf(needle); at >= 0; at = table.indexOf(needle, at + 1)) {
    const end = table.indexOf('\n', at)
    const row = table.slice(table.lastIndexOf('\n', at) + 1, end < 0 ? undefined : end)
    const [, local = '', , state, , , , , , inode = '0'] = row.trim().split(/\s+/)
    // Without an inode nobody has a descriptor of it. The port of the other end matches as well.
    if (local.endsWith(needle.trimEnd()) && state !== LISTEN && inode !== '0') found.add(inode)
  }
  return found.size
}
