import { HandshakeError, ProxyHeaderError } from '#shared/errors'
import type { ClientHello } from './fake-tls/client-hello.ts'
import { readClientHello } from './fake-tls/read-client-hello.ts'
import { RecordDecoder } from './fake-tls/record-decoder.ts'
import { FRAME_BYTES } from './obfuscated2/frame.ts'
import { ProxyHeaderReader } from './proxy-header-reader.ts'
import type { ProxyHeader } from './proxy-protocol.ts'
import { deadlinePassed, peerClosed, RewindableReader } from './rewindable-reader.ts'
import type { ByteSink, ByteSocket } from './socket/byte-socket.ts'

/** The client will send no more (`ended`), or its socket is gone. */
export type OnLeave = (how: 'ended' | 'gone') => void

/**
 * What a client says before its session is open: a balancer's PROXY header if there has to be one, raw bytes up to the
 * hello, the payload of its records behind it. All but the header is kept: for the fronting site if the peer is not ours, for the data centre if it spoke early.
 */
export class HandshakeInput {
  /** Decodes the client's records from the end of the hello on, in the relay too. */
  readonly decoder: RecordDecoder
  readonly #client: ByteSocket
  readonly #onLeave: OnLeave
  readonly #raw: RewindableReader
  readonly #payload: RewindableReader
  /** There while the PROXY header is read. */
  #header: ProxyHeaderReader | null

  constructor(client: ByteSocket, onLeave: OnLeave) {
    this.decoder = new RecordDecoder()
    this.#client = client
    this.#onLeave = onLeave
    this.#raw = new RewindableReader()
    this.#payload = new RewindableReader()
    this.#header = null
  }

  /**
   * The PROXY header, before anything else. What came with it is the beginning of the hello.
   * @throws ProxyHeaderError `absent`, `malformed`, `peer-closed`, `deadline`
   */
  async readProxyHeader(): Promise<ProxyHeader> {
    const header = new ProxyHeaderReader()
    this.#header = header
    const leave = (how: 'ended' | 'gone'): void => {
      header.fail(new ProxyHeaderError('peer-closed', 'the peer closed before its PROXY header was complete'))
      this.#onLeave(how)
    }
    this.#client.setSink({
      bytes: (chunk) => {
        this.#raw.push(header.push(chunk))
        if (this.#raw.isFull) this.#client.pause()
      },
      ended: () => leave('ended'),
      drained: () => {},
      closed: () => leave('gone'),
    })
    this.#client.resume()
    try {
      return await header.header
    } finally {
      this.#header = null
    }
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

  /** The hello is not complete yet. */
  get isWaiting(): boolean {
    return this.#raw.isWaiting
  }

  /** Whoever waits for the hello gets this error instead. */
  failHello(error: HandshakeError): void {
    this.#raw.fail(error)
  }

  /** The handshake has taken too long: whoever waits for its bytes is told. */
  expire(): void {
    this.#header?.fail(new ProxyHeaderError('deadline', 'the peer sent no PROXY header in time'))
    this.#raw.fail(deadlinePassed())
    this.#payload.fail(deadlinePassed())
  }

  /** Every byte received before the hello was answered, from the hello on. */
  get received(): Buffer {
    return this.#raw.allBytes()
  }

  /** Payload that came behind the frame. */
  takeEarly(): Buffer {
    return this.#payload.takeUnread()
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
