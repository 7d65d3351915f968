import type { Logger } from 'pino'
import { OperatorError } from '#shared/errors'

/** By the protocol of systemd (sd_listen_fds(3)). */
const FIRST_FD = 3
/** Nobody has so many addresses; a number that is a mistake should not be tried out. */
const MAX_SOCKETS = 64

/** A listening socket that was open when the process began. */
export interface InheritedSocket {
  readonly fd: number
  /** `FileDescriptorName=` of the socket unit. */
  readonly name: string
}

/**
 * The sockets that a service manager has opened for this process (socket activation). Takes the variables out of the
 * environment, so that no program started from here believes them to be its own; the descriptors themselves are closed
 * there, which Node sees to at its start.
 * @throws OperatorError for a number of sockets that is none
 */
export function takeInheritedSockets(
  env: NodeJS.ProcessEnv,
  pid: number,
  log: Pick<Logger, 'warn'>,
): InheritedSocket[] {
  const { LISTEN_FDS: count, LISTEN_PID: owner, LISTEN_FDNAMES: names = '' } = env
  for (const variable of ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES']) delete env[variable]
  if (count === undefined) return []
  if (owner !== String(pid)) {
    log.warn(
      { LISTEN_PID: owner, pid },
      'sockets were passed to another process: start mtg-multi without a wrapper',
    )
    return []
  }
  if (!/^\d{1,9}$/.test(count) || Number(count) > MAX_SOCKETS)
    throw new OperatorError(
      `LISTEN_FDS is ${JSON.stringify(count)}: expected a number from 0 to ${MAX_SOCKETS}`,
    )
  const given = names.split(':')
  return Array.from({ length: Number(count) }, (_, index) => ({
    fd: FIRST_FD + index,
    name: given[index] || 'unknown', // systemd's own word for it
  }))
}
