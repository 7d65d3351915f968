const RECORD_HEADER_BYTES = 5
/** RFC 8446 §5.2. Ours are shorter, but others' need not be. */
const MAX_RECORD_PAYLOAD_BYTES = 16_384 + 256

/** Takes TLS records off what comes, hopping from one header to the next: views of the chunks, no copies. */
export class RecordReader {
  readonly #give: (payload: Buffer) => void
  readonly #header: Buffer
  #headerBytes: number
  #missingBytes: number

  constructor(give: (payload: Buffer) => void) {
    this.#give = give
    this.#header = Buffer.alloc(RECORD_HEADER_BYTES)
    this.#headerBytes = 0
    this.#missingBytes = 0
  }

  /** Throws when a header is not one of application data. */
  take(chunk: Buffer): void {
    for (let offset = 0; offset < chunk.length;) {
      if (this.#missingBytes > 0) {
        const taken = Math.min(this.#missingBytes, chunk.length - offset)
        this.#missingBytes -= taken
        this.#give(chunk.subarray(offset, offset + taken))
        offset += taken
      } else {
        const taken = chunk.copy(this.#header, this.#headerBytes, offset)
        this.#headerBytes += taken
        offset += taken
        if (this.#headerBytes === RECORD_HEADER_BYTES) this.#begin()
      }
    }
  }

  #begin(): void {
    const length = this.#header.readUInt16BE(3)
    if (this.#header.readUIntBE(0, 3) !== 0x170303 || length < 1 || length > MAX_RECORD_PAYLOAD_BYTES) {
      throw new Error(`not a record header: ${this.#header.toString('hex')}`)
    }
    this.#missingBytes = length
    this.#headerBytes = 0
  }
}
