// hot: once or twice per 16 KiB of everything that is relayed
import { BugError } from '#shared/errors'
import { checkTransform, type Ciphers, type CtrKey, type CtrStream } from './ctr-stream.ts'
import { IV_BYTES, KEY_BYTES } from './frame.ts'

/** A pointer of C's. */
type Pointer = bigint

/** EVP_CIPHER_CTX of OpenSSL 3, by the names of its manual pages. */
export interface Evp {
  /** EVP_CIPHER_CTX_new(3) */
  newContext(): Pointer | null
  /** EVP_CIPHER_CTX_free(3), which wipes the key */
  freeContext(context: Pointer): void
  /** EVP_EncryptInit_ex(3) with AES-256-CTR; 1 when it worked */
  init(context: Pointer, key: Uint8Array, iv: Uint8Array): number
  /** EVP_EncryptUpdate(3); 1 when it worked */
  update(
    context: Pointer,
    target: Uint8Array,
    targetBytes: Int32Array,
    input: Uint8Array,
    inputBytes: number,
  ): number
}

/**
 * AES-256-CTR by the OpenSSL inside of Node, called directly and writing where it is told to: 0.1 µs a call beside the
 * cipher itself, and nothing is allocated. Of one thread.
 */
export class NativeCiphers implements Ciphers {
  readonly name = 'native'
  readonly #evp: Evp
  /** Of contexts that are in use. They lie outside of the heap: what is not freed is lost until the process ends. */
  readonly #open: Set<NativeCtrStream>

  constructor(evp: Evp) {
    this.#evp = evp
    this.#open = new Set()
  }

  get openStreams(): number {
    return this.#open.size
  }

  /** @throws BugError when OpenSSL has no memory, or not this cipher */
  open({ key, iv }: CtrKey): CtrStream {
    if (key.length !== KEY_BYTES || iv.length !== IV_BYTES) {
      throw new BugError(`a cipher was to have a key of ${key.length} bytes and ${iv.length} to start from`)
    }
    const context = this.#evp.newContext()
    if (context === null) throw new BugError('OpenSSL has no memory for a cipher')
    const stream = new NativeCtrStream(this.#evp, context, this.#open)
    this.#open.add(stream)
    if (this.#evp.init(context, key, iv) === 1) return stream
    stream.close()
    throw new BugError('OpenSSL does not have AES-256-CTR')
  }

  closeAll(): void {
    for (const stream of this.#open) stream.close()
  }
}

/** A context has one owner, and what is freed cannot be called: the pointer is gone with it. */
class NativeCtrStream implements CtrStream {
  readonly #evp: Evp
  readonly #open: Set<NativeCtrStream>
  #context: Pointer | null

  constructor(evp: Evp, context: Pointer, open: Set<NativeCtrStream>) {
    this.#evp = evp
    this.#open = open
    this.#context = context
  }

  transform(input: Buffer, target: Buffer, at: number): void {
    checkTransform(input, target, at)
    const context = this.#context
    if (context === null) throw new BugError('a closed cipher was used')
    const bytes = input.length
    if (bytes === 0) return
    const end = at === 0 ? target : target.subarray(at)
    if (this.#evp.update(context, end, WRITTEN, input, bytes) !== 1 || WRITTEN[0] !== bytes) {
      throw new BugError(`OpenSSL wrote ${WRITTEN[0]} of ${bytes} bytes`)
    }
  }

  close(): void {
    const context = this.#context
    if (context === null) return
    this.#context = null
    this.#open.delete(this)
    this.#evp.freeContext(context)
  }
}

/** Where OpenSSL says how much it wrote. Each thread has one, since each has its own modules. */
const WRITTEN = new Int32Array(1)
