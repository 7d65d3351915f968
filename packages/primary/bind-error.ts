import { getSystemErrorMessage } from 'node:util'
import { formatHostPort, type HostPort } from '#shared/dc'
import { OperatorError } from '#shared/errors'
import { errorCode } from './error-code.ts'

const FIRST_FREE_PORT = 1024

/** Why an address of `bind-to` cannot be had, and what to do about it. */
export function cannotStart(address: HostPort, cause: unknown): OperatorError {
  const hint = findHint(cause, address)
  const reason = `${describeSystemError(cause)}${hint === null ? '' : `; ${hint}`}`
  return new OperatorError(`cannot start proxy on ${formatHostPort(address)}: ${reason}`, { cause })
}

/** What the system says, without the call and the address that Node repeats in its message. */
export function describeSystemError(cause: unknown): string {
  const errno = cause instanceof Error && 'errno' in cause ? cause.errno : undefined
  if (typeof errno === 'number') return getSystemErrorMessage(errno)
  return cause instanceof Error ? cause.message : String(cause)
}

function findHint(cause: unknown, { port }: HostPort): string | null {
  switch (errorCode(cause)) {
    case 'EADDRINUSE':
      return 'end the program that listens there, or change bind-to'
    case 'EADDRNOTAVAIL':
      return 'no network of this host has it: change bind-to, or start when the network is up'
    case 'EACCES':
      return port < FIRST_FREE_PORT
        ? `ports below ${FIRST_FREE_PORT} need CAP_NET_BIND_SERVICE, no other privilege`
        : null
    default:
      return null
  }
}
