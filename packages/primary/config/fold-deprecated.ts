import { buildDohByIp } from './dns.ts'
import type { ConfigKey, DecodedValues } from './schema.ts'

/**
 * The values with those of deprecated keys under the keys that took their place (operator.md §1.3): the port and the
 * resolver only where the new key is not set, PROXY headers if either key asks for them.
 */
export function foldDeprecated(values: DecodedValues, given: ReadonlySet<ConfigKey>): DecodedValues {
  const port = values['domain-fronting-port']
  const dohIp = values['network.doh-ip']
  return {
    ...values,
    'domain-fronting.port':
      port === null || given.has('domain-fronting.port') ? values['domain-fronting.port'] : port,
    'domain-fronting.proxy-protocol':
      values['domain-fronting.proxy-protocol'] || values['domain-fronting-proxy-protocol'],
    'network.dns': dohIp === null || given.has('network.dns') ? values['network.dns'] : buildDohByIp(dohIp),
  }
}
