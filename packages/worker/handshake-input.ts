import { HandshakeError } from '#shared/errors'
import type { ClientHello } from './fake-tls/client-hello.ts'
import { readClientHello } from './fake-tls/read-client-hello.ts'
import { RecordDecoder } from './fake-tls/record-decoder.ts'
import { FRAME_BYTES } from './obfuscated2/frame.ts'
import { deadlinePassed, peerClosed, RewindableReader } from './rewindable-reader.ts'
import type { ByteSink, ByteSocket } from './socket/byte-socket.ts'

/** The client will send no more (`ended`), or its socket is gone. */
export type OnLeave = (how: 'ended' | 'gone') => void

/**
 * What a client says before its session is open: raw bytes up to the hello, the payload of its records behind it. All
 * of it is kept: for the fronting site if the peer is not ours, for the data centre if it spoke early.
 */
export class HandshakeInput {
  /** Decodes the client's records from the end of the hello on, in the relay too. */
  readonly decoder: RecordDecoder
  readonly #client: ByteSocket
  readonly #onLeave: OnLeave
  readonly #raw: RewindableReader
  readonly #payload: RewindableReader

  constructor(client: ByteSocket, onLeave: OnLeave) {
    this.decoder = new RecordDecoder()
    this.#client = client
    this.#onLeave = onLeave
    this.#raw = new RewindableReader()
    this.#payload = new RewindableReader()
  }

  /** @throws HandshakeError as `readClientHello`, `peer-closed`, `deadline` */
  readHello(): Promise<ClientHello> {
    this.#client.setSink(this.#keepIn(this.#raw, (chunk) => this.#raw.push(chunk)))
    this.#client.resume()
    return readClientHello(this.#raw)
  }

  /**
   * The 64 bytes that open the session: the first payload of the client's records. To be called when the hello is
   * answered.
   * @throws HandshakeError `obfuscated2` when the records end before, `peer-closed`, `deadline`
   */
  readFrame(): Promise<Buffer> {
    const keepPayload = (chunk: Buffer): void => {
      this.#payload.push(chunk.subarray(0, this.decoder.decode(chunk)))
      const { end } = this.decoder
      if (end !== null) this.#payload.fail(new HandshakeError('obfuscated2', `client records: ${end}`))
    }
    this.#client.setSink(this.#keepIn(this.#payload, keepPayload))
    keepPayload(this.#raw.takeUnread())
    this.#client.resume()
    return this.#payload.readExact(FRAME_BYTES)
  }

  /** The handshake has taken too long: whoever waits for its bytes is told. */
  expire(): void {
    this.#raw.fail(deadlinePassed())
    this.#payload.fail(deadlinePassed())
  }

  /** Every byte received before the hello was answered. */
  get received(): Buffer {
    return this.#raw.allBytes()
  }

  /** Payload that came behind the frame. */
  takeEarly(): Buffer {
    return this.#payload.takeUnread()
  }

  /** Let go of the memory; what was given out stays valid. */
  release(): void {
    this.#raw.release()
    this.#payload.release()
  }

  #keepIn(reader: RewindableReader, keep: (chunk: Buffer) => void): ByteSink {
    return {
      bytes: (chunk) => {
        keep(chunk)
        if (reader.isFull) this.#client.pause()
      },
      ended: () => {
        reader.fail(peerClosed())
        this.#onLeave('ended')
      },
      drained: () => {},
      closed: () => {
        reader.fail(peerClosed())
        this.#onLeave('gone')
      },
    }
  }
}
