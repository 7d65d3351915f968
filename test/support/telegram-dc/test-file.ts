import { createCipheriv, createHash } from 'node:crypto'

const BLOCK_BYTES = 16

/**
 * Bytes that every data centre serves as a file of its own: an AES-256-CTR key stream, so that any range can be made
 * alone, a wrong data centre shows, and nothing on the way can compress it. `offset` is a multiple of 16.
 */
export function buildTestFileBytes(dcId: number, offset: number, length: number): Buffer {
  const key = createHash('sha256').update(`file of data centre ${dcId}`).digest()
  const counter = Buffer.alloc(BLOCK_BYTES)
  counter.writeBigUInt64BE(BigInt(offset / BLOCK_BYTES), 8)
  return createCipheriv('aes-256-ctr', key, counter).update(Buffer.alloc(length))
}
