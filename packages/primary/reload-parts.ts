import type { ProxyConfig } from '#shared/config'
import { checkNameServer } from './check-name-server.ts'
import type { ProxyParts } from './proxy-parts.ts'

/** See RunningProxy.reload. */
export async function reloadParts(parts: ProxyParts, config: ProxyConfig): Promise<void> {
  const { current, log, gangerLog, routing, state } = parts
  // The steps that can fail come first, and setting them back cannot.
  await checkNameServer(config.network.dns)
  routing.setConfig(config)
  try {
    state.setUsers(config.users)
  } catch (error) {
    routing.setConfig(current.config)
    throw error
  }
  parts.resolver.setDns(config.network.dns)
  current.config = config
  if (current.level !== 'silent') current.level = config.debug ? 'debug' : 'info'
  log.level = current.level
  gangerLog.level = current.level
  state.setThrottle(config.throttle)
  parts.handOffs.setConfig(config)
  if (current.isAccepting) {
    parts.ipLists.setConfig(config.defense)
    parts.autoUpdate.setOn(config.autoUpdate)
  }
  await pushValues(parts)
  // A process that drains has no use for what these fetch and learn, and has stopped them.
  if (current.isAccepting) parts.ganger.setConfig(config)
}

/** Give all threads what holds now. */
export async function pushValues({
  current,
  pool,
  routing,
  state,
}: Pick<ProxyParts, 'current' | 'pool' | 'routing' | 'state'>): Promise<void> {
  await pool.reload({
    config: current.config,
    users: state.users,
    routing: routing.values(),
    logLevel: current.level,
  })
}
