// hot: once or twice per 16 KiB of everything that is relayed
import { createCipheriv, type Cipheriv } from 'node:crypto'
import { BugError } from '#shared/errors'
import { checkTransform, type Ciphers, type CtrKey, type CtrStream } from './ctr-stream.ts'

/** AES-256-CTR by node:crypto, which returns fresh memory from every call. */
export class NodeCiphers implements Ciphers {
  readonly name = 'node'
  openStreams: number

  constructor() {
    this.openStreams = 0
  }

  open(key: CtrKey): CtrStream {
    return new NodeCtrStream(key, this)
  }

  closeAll(): void {
    // What nobody holds any more is collected.
  }
}

class NodeCtrStream implements CtrStream {
  readonly #ciphers: NodeCiphers
  #cipher: Cipheriv | null

  constructor({ key, iv }: CtrKey, ciphers: NodeCiphers) {
    this.#ciphers = ciphers
    this.#cipher = createCipheriv('aes-256-ctr', key, iv)
    ciphers.openStreams += 1
  }

  transform(input: Buffer, target: Buffer, at: number): void {
    checkTransform(input, target, at)
    if (this.#cipher === null) throw new BugError('a closed cipher was used')
    const output = this.#cipher.update(input)
    target.set(output, at)
    release(output)
  }

  close(): void {
    if (this.#cipher === null) return
    this.#cipher = null
    this.#ciphers.openStreams -= 1
  }
}

/**
 * Give memory back now. Left to the garbage collector, every call would get memory that the processor has not in its cache
 * and the kernel has yet to map, and collections would come for it alone: twice the time of the cipher itself
 * (bench/micro/ctr-streams.ts).
 */
function release(output: Buffer): void {
  const { buffer } = output
  // It is the cipher's own; should a Node take it from a pool one day, others live in it.
  if (buffer.byteLength === output.length && buffer instanceof ArrayBuffer) buffer.transfer(0)
}
