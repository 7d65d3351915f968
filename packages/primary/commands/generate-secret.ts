import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'

import { OperatorError } from '#shared/errors'
import {
  formatSecretBase64,
  formatSecretHex,
  generateSecret,
  isHostName,
  MAX_SECRET_HOST_BYTES,
} from '#shared/secret'

/**
 * A new secret for a host, as one line of text (operator.md §2.1).
 * @throws OperatorError if clients could not send this host in a ClientHello (decision C7)
 */
export function generateSecretText(host: string, options: { hex: boolean }): string {
  // RFC 6066 §3: an IP address is no server name, and 1.2.3.4 would pass as a DNS name otherwise.
  if (isIP(host) !== 0 || !isHostName(host)) throw new OperatorError(explainHost(host))
  const secret = generateSecret(host)
  return options.hex ? formatSecretHex(secret) : formatSecretBase64(secret)
}

function explainHost(host: string): string {
  const what = `${JSON.stringify(host)} is not a valid host name`
  if (isIP(host) !== 0) return `${what}: expected a DNS name such as "storage.googleapis.com", not an address`
  const ascii = domainToASCII(host)
  if (ascii !== '' && ascii !== host.toLowerCase() && isHostName(ascii))
    return `${what}: write it as "${ascii}", the way it travels in TLS`
  return `${what}: expected a DNS name of at most ${MAX_SECRET_HOST_BYTES} bytes, such as "storage.googleapis.com"`
}
