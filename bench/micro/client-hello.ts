/**
 * What does it cost to read a ClientHello, as TDLib sends it and with a hybrid key share? Processor time of the thread.
 * Run: node bench/micro/client-hello.ts [--json] [--quick]
 */
import { randomBytes } from 'node:crypto'

import { offersCipherSuite, offersKeyShare, parseClientHello } from '#worker/fake-tls/client-hello'
import { buildClientHello, GROUP_X25519 } from '../../test/support/client-hello.ts'
import { type Case, IS_QUICK, measureCases, printFigures, repeat } from '../support/micro.ts'

const CALLS = IS_QUICK ? 10 : 200
const X25519_SHARE_BYTES = 32
const TLS_AES_128_GCM_SHA256 = 0x1301

function casesOf(size: number): Case[] {
  const { bytes } = buildClientHello({ key: randomBytes(16), host: 'example.com', size })
  const parsed = parseClientHello(bytes)
  if (!parsed.ok) throw new Error(parsed.code)
  const { hello } = parsed
  const stranger = randomBytes(bytes.length)
  return [
    repeat(`parseClientHello, ${size} bytes`, CALLS, () => {
      if (!parseClientHello(bytes).ok) throw new Error('it was read before')
    }),
    repeat(`parseClientHello, ${size} bytes of noise`, CALLS, () => {
      if (parseClientHello(stranger).ok) throw new Error('noise is no hello')
    }),
    repeat(`offered suite and key share, ${size} bytes`, CALLS, () => {
      const offers =
        offersCipherSuite(hello, TLS_AES_128_GCM_SHA256) &&
        offersKeyShare(hello, GROUP_X25519, X25519_SHARE_BYTES)
      if (!offers) throw new Error('both are offered')
    }),
  ]
}

printFigures('client-hello', await measureCases([517, 1800].flatMap(casesOf)))
