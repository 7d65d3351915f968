import { formatHostPort, type HostPort } from '#shared/dc'
import { OperatorError } from '#shared/errors'

export function cannotStart(address: HostPort, cause: unknown): OperatorError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new OperatorError(`cannot start proxy on ${formatHostPort(address)}: ${reason}`, { cause })
}
