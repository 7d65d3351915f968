import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'

/**
 * What Telegram's clients offer, who imitate Chrome (mtcute 0.30, TDLib 1.8): a site that chooses by its client's
 * preference chooses for us as it would for them. Chrome's compressed certificates are the one thing OpenSSL in Node
 * does not ask for: a site that has them sends Chrome less than us.
 */
const SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
]
const SIGNATURES = [
  'ecdsa_secp256r1_sha256',
  'rsa_pss_rsae_sha256',
  'rsa_pkcs1_sha256',
  'ecdsa_secp384r1_sha384',
  'rsa_pss_rsae_sha384',
  'rsa_pkcs1_sha384',
  'rsa_pss_rsae_sha512',
  'rsa_pkcs1_sha512',
]
/** The asterisk sends a key share along (OpenSSL 3.5, which Node has since 24). */
const CLASSIC_GROUPS = ['*X25519', 'P-256', 'P-384']
const HYBRID_GROUP = '*X25519MLKEM768'

/** Options for `tls.connect`. Certificates are not judged: what is learnt is how a site looks, not whether it is trusted. */
export function browserTls(
  serverName: string,
  protocols: readonly string[],
  isHybrid: boolean,
): ConnectionOptions {
  return {
    // RFC 6066 §3: an address is no server name.
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    ALPNProtocols: [...protocols],
    ciphers: SUITES.join(':'),
    sigalgs: SIGNATURES.join(':'),
    ecdhCurve: (isHybrid ? [HYBRID_GROUP, ...CLASSIC_GROUPS] : CLASSIC_GROUPS).join(':'),
    minVersion: 'TLSv1.2',
    requestOCSP: true,
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  }
}
