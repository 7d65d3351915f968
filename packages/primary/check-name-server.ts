import { isIP } from 'node:net'
import type { DnsConfig } from '#shared/config'
import { Resolver } from '#shared/dial/resolver'
import { OperatorError } from '#shared/errors'

/**
 * A name server that is given by name has to be found by the system once, before anything is asked of it. That it does
 * not answer later is another matter: then names cannot be resolved, and the proxy runs.
 * @throws OperatorError when the system does not know the name
 */
export async function checkNameServer(dns: DnsConfig): Promise<void> {
  if (dns.kind === 'system' || isIP(dns.host) !== 0) return
  try {
    await new Resolver().resolve(dns.host)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new OperatorError(
      `network.dns: ${reason}. The name of a name server is resolved by the system: where that cannot be done, ` +
        `give its address, such as "${dns.kind}://1.1.1.1"`,
      { cause },
    )
  }
}
