import type { Logger } from 'pino'
import type { ProxyConfig } from '#shared/config'
import type { InheritedSocket } from './inherited-sockets.ts'
import { Listeners } from './listener.ts'
import type { Predecessor } from './upgrade/predecessor.ts'

interface Givers {
  readonly inherited: readonly InheritedSocket[]
  readonly predecessor: Predecessor | null
  readonly log: Logger
}

/**
 * Bind what is not handed over by a service manager or by the process before.
 * @throws OperatorError when an address cannot be had
 */
export function takeAddresses(
  config: ProxyConfig,
  { inherited, predecessor, log }: Givers,
): { listeners: Listeners; threadsAccept: boolean } {
  const handed = predecessor?.sockets.filter(({ use }) => use === 'clients') ?? []
  // A socket that somebody else has opened is one for all threads: the primary accepts on it.
  const threadsAccept = config.reusePort && inherited.length + handed.length === 0
  if (config.reusePort && !threadsAccept) {
    const whose = handed.length > 0 ? 'that were open before: it needs a restart' : 'of the service manager'
    log.warn(`reuse-port has no effect on sockets ${whose}`)
  }
  const listeners = Listeners.bind(config.bindTo, {
    backlog: config.listenBacklog,
    inherited,
    handed,
    reserveOnly: threadsAccept,
  })
  return { listeners, threadsAccept }
}
