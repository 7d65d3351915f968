import { createCipheriv, randomBytes } from 'node:crypto'
import type { Ciphers, CtrKey } from './ctr-stream.ts'
import { IV_BYTES, KEY_BYTES } from './frame.ts'

/** NIST SP 800-38A, F.5.5 CTR-AES256.Encrypt. */
const KNOWN_KEY: CtrKey = {
  key: Buffer.from('603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4', 'hex'),
  iv: Buffer.from('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', 'hex'),
}
const KNOWN_PLAIN = Buffer.from(
  '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51' +
    '30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710',
  'hex',
)
const KNOWN_CIPHERED = Buffer.from(
  '601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5' +
    '2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6',
  'hex',
)
/** One after the other through one stream: within a block, over its edge, whole ones, more than any asm does at once. */
const LENGTHS = [0, 1, 15, 16, 17, 3, 64, 1023, 2878, 16_401, 5, 70_001] as const
/** Around what is written: nothing may change there. */
const MARGIN_BYTES = 64
const MARGIN = 0xa5

/**
 * Whether ciphers do AES-256-CTR: the standard's own example, then random bytes compared with node:crypto, in pieces of odd
 * lengths, in place and from one buffer into the midst of another. 1 ms.
 * @throws Error that says what is wrong
 */
export function testCiphers(ciphers: Ciphers): void {
  const output = Buffer.alloc(KNOWN_PLAIN.length)
  transformOnce(ciphers, KNOWN_KEY, KNOWN_PLAIN, output)
  if (!output.equals(KNOWN_CIPHERED)) throw new Error('the known answer is another one')
  transformOnce(ciphers, KNOWN_KEY, output, output)
  if (!output.equals(KNOWN_PLAIN)) throw new Error('what was encrypted in place is not what was decrypted')

  // The second counter carries over all of its bytes at the first block.
  for (const iv of [randomBytes(IV_BYTES), Buffer.alloc(IV_BYTES, 0xff)]) {
    compareWithNode(ciphers, { key: randomBytes(KEY_BYTES), iv })
  }
}

function transformOnce(ciphers: Ciphers, key: CtrKey, input: Buffer, output: Buffer): void {
  const stream = ciphers.open(key)
  try {
    stream.transform(input, output, 0)
  } finally {
    stream.close()
  }
}

function compareWithNode(ciphers: Ciphers, { key, iv }: CtrKey): void {
  const node = createCipheriv('aes-256-ctr', key, iv)
  const stream = ciphers.open({ key, iv })
  try {
    for (const [turn, length] of LENGTHS.entries()) {
      const plain = randomBytes(length)
      const expected = node.update(plain)
      const target = Buffer.alloc(length + 2 * MARGIN_BYTES, MARGIN)
      const written = target.subarray(MARGIN_BYTES, MARGIN_BYTES + length)
      const isInPlace = turn % 2 === 1
      if (isInPlace) plain.copy(written)
      stream.transform(isInPlace ? written : plain, target, MARGIN_BYTES)
      if (!written.equals(expected)) throw new Error(`${length} bytes became others than by node:crypto`)
      const isUntouched = (from: number): boolean =>
        target.subarray(from, from + MARGIN_BYTES).every((byte) => byte === MARGIN)
      if (!isUntouched(0) || !isUntouched(MARGIN_BYTES + length)) {
        throw new Error(`more than the ${length} bytes were written`)
      }
    }
  } finally {
    stream.close()
  }
}
