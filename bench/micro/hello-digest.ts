/**
 * What does it cost to try a ClientHello against a key, by HelloDigest and by createHmac? Whole searches: key-search.ts.
 * Run: node bench/micro/hello-digest.ts [--json] [--quick]
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { HelloDigest } from '#worker/fake-tls/authenticate'
import { parseClientHello, type ClientHello } from '#worker/fake-tls/client-hello'
import { buildClientHello } from '../../test/support/client-hello.ts'
import { type Case, IS_QUICK, measureCases, printFigures } from '../support/micro.ts'

/** Between two looks at the clock. */
const KEYS_PER_BATCH = IS_QUICK ? 20 : 1_000
const HOST = 'example.com'
/** As TDLib sends them, and with a hybrid key share. */
const HELLO_BYTES = [517, 1800] as const

function signHello(key: Uint8Array, size: number): ClientHello {
  const parsed = parseClientHello(buildClientHello({ key, host: HOST, size }).bytes)
  if (!parsed.ok) throw new Error(parsed.code)
  return parsed.hello
}

/** A stranger's hello against a key, again and again. */
function digestCases(size: number): Case[] {
  const key = randomBytes(16)
  const hello = signHello(randomBytes(16), size)
  const image = Buffer.from(hello.image)
  image.fill(0, 11, 43)
  const expected = hello.random.subarray(0, 28)
  const verify = (): void => {
    const digest = new HelloDigest(hello)
    for (let i = 0; i < KEYS_PER_BATCH; i++) if (digest.verify(key) !== null) throw new Error('no such key')
  }
  const hmac = (): void => {
    for (let i = 0; i < KEYS_PER_BATCH; i++) {
      const mac = createHmac('sha256', key).update(image).digest()
      if (timingSafeEqual(mac.subarray(0, 28), expected)) throw new Error('no such key')
    }
  }
  return [
    { name: `HelloDigest.verify, ${size} bytes`, calls: KEYS_PER_BATCH, run: verify },
    { name: `createHmac, ${size} bytes`, calls: KEYS_PER_BATCH, run: hmac },
  ]
}

printFigures('hello-digest', await measureCases(HELLO_BYTES.flatMap(digestCases)))
