import { readFileSync } from 'node:fs'

/** What `ss -tan` shows, read from where it reads. Linux. */
export interface KernelSocket {
  readonly localPort: number
  readonly remotePort: number
  /** A process has a descriptor of it. Without one it waits in an accept queue, or the kernel ends it by itself. */
  readonly isHeld: boolean
  readonly isListening: boolean
}

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6']
const LISTEN = '0A'

/** All TCP sockets of this network namespace. */
export function listKernelSockets(): KernelSocket[] {
  return TABLES.flatMap((table) => readFileSync(table, 'latin1').trimEnd().split('\n').slice(1).map(parseRow))
}

/** `sl: local:port remote:port state tx:rx tr:when retransmits uid timeout inode …`, addresses and ports in hex. */
function parseRow(row: string): KernelSocket {
  const [, local = '', remote = '', state, , , , , , inode] = row.trim().split(/\s+/)
  const portOf = (address: string): number => Number.parseInt(address.slice(address.lastIndexOf(':') + 1), 16)
  return {
    localPort: portOf(local),
    remotePort: portOf(remote),
    isHeld: inode !== '0',
    isListening: state === LISTEN,
  }
}

/** Connections that whoever listens on the port has accepted and not closed. */
export function countAccepted(port: number): number {
  return listKernelSockets().filter(
    ({ localPort, isHeld, isListening }) => localPort === port && isHeld && !isListening,
  ).length
}
