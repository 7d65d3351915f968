import { formatHostPort, type HostPort } from '#shared/dc'
import { OperatorError } from '#shared/errors'

const FIRST_FREE_PORT = 1024

export function cannotStart(address: HostPort, cause: unknown): OperatorError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const isForbidden = cause instanceof Error && 'code' in cause && cause.code === 'EACCES'
  const hint =
    isForbidden && address.port < FIRST_FREE_PORT
      ? `; ports below ${FIRST_FREE_PORT} need CAP_NET_BIND_SERVICE, no other privilege`
      : ''
  return new OperatorError(`cannot start proxy on ${formatHostPort(address)}: ${reason}${hint}`, { cause })
}
