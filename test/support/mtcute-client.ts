import { BaseTelegramClient, MemoryStorage, MtProxyTcpTransport } from '@mtcute/node'
import { addPublicKey, type DcOptions, LogManager, NodeCryptoProvider } from '@mtcute/node/utils.js'

import type { HostPort } from '#shared/dc'

/** Any numbers will do: nobody logs in. */
const API_ID = 1
const API_HASH = '0123456789abcdef0123456789abcdef'
/** What is kept of the bytes of one connection: a ClientHello and all that follows it before an answer. */
const MAX_RECORDED_BYTES = 16 * 1024
/** The data centres' addresses as the client knows them. Nothing listens there: the proxy has its own table. */
const UNREACHABLE = { ipAddress: '127.0.0.1', port: 1 }

type TcpEndpoint = Parameters<MtProxyTcpTransport['_connectTcp']>[0]
type TcpConnection = Awaited<ReturnType<MtProxyTcpTransport['_connectTcp']>>

/** The library's own MTProxy transport, which also remembers how each of its connections began. */
class RecordingTransport extends MtProxyTcpTransport {
  /** The first bytes sent on each TCP connection, in the order of connecting. */
  readonly sent: Buffer[] = []
  /** The first bytes received on each of them. */
  readonly received: Buffer[] = []

  override async _connectTcp(endpoint: TcpEndpoint): Promise<TcpConnection> {
    // oxlint-disable-next-line no-underscore-dangle -- the library's name for the method to override
    const connection = await super._connectTcp(endpoint)
    const index = this.sent.push(Buffer.alloc(0)) - 1
    const write = connection.write.bind(connection)
    connection.write = async (bytes) => {
      const before = this.sent[index] ?? Buffer.alloc(0)
      this.sent[index] = Buffer.concat([before, bytes]).subarray(0, MAX_RECORDED_BYTES)
      await write(bytes)
    }
    this.received.push(Buffer.alloc(0))
    const read = connection.read.bind(connection)
    connection.read = async (into) => {
      const bytes = await read(into)
      const before = this.received[index] ?? Buffer.alloc(0)
      if (before.length < MAX_RECORDED_BYTES)
        this.received[index] = Buffer.concat([before, into.subarray(0, bytes)]).subarray(
          0,
          MAX_RECORDED_BYTES,
        )
      return bytes
    }
    return connection
  }
}

export interface MtcuteClientOptions {
  readonly proxy: HostPort
  /** `ee…`, hex or base64. */
  readonly secret: string
  /** The data centre to connect to first. */
  readonly dcId: number
  /** The data centre's RSA key, PKCS #1. */
  readonly publicKeyPem: string
  /** Temporary keys for every connection, which the official apps use (perfect forward secrecy). */
  readonly usePfs?: boolean
  /** TCP connections for each purpose and data centre. */
  readonly connectionCount?: number
}

export interface MtcuteClient {
  readonly client: BaseTelegramClient
  /** The first bytes that the client sent on each of its TCP connections. */
  readonly sent: readonly Buffer[]
  /** The first bytes that it received on each of them: the server's flight above all. */
  readonly received: readonly Buffer[]
  /** What the client could not do, such as handshakes that failed. */
  readonly errors: readonly Error[]
  /** Resolves with the first of them. */
  readonly firstError: Promise<Error>
  destroy(): Promise<void>
}

/**
 * A Telegram client made of a library that knows nothing of ours, connecting through a proxy with the library's own
 * fake-TLS. Nothing is sent before the first call. Files go over connections of their own, which are signed as media.
 */
export async function createMtcuteClient(options: MtcuteClientOptions): Promise<MtcuteClient> {
  const { proxy, secret, dcId, publicKeyPem, usePfs = false, connectionCount = 1 } = options
  const crypto = new NodeCryptoProvider()
  addPublicKey(crypto, publicKeyPem)
  const transport = new RecordingTransport({ ...proxy, secret })
  const defaultDcs: DcOptions = {
    main: { id: dcId, ...UNREACHABLE },
    media: { id: dcId, ...UNREACHABLE, mediaOnly: true },
  }
  const client = new BaseTelegramClient({
    apiId: API_ID,
    apiHash: API_HASH,
    crypto,
    transport,
    defaultDcs,
    // Never the default storage: it needs SQLite, whose native part is not built here.
    storage: new MemoryStorage(),
    updates: false,
    logLevel: LogManager.OFF,
    // Without it a second connection within a second would wait: the tests connect often on purpose.
    network: { usePfs, connectionCount: () => connectionCount, floodControl: false },
  })
  // Uploading asks whether the user is a premium one, and fails for nobody.
  await client.storage.self.store({ userId: 1, isBot: false, isPremium: false, usernames: [] })
  const errors: Error[] = []
  const { promise: firstError, resolve } = Promise.withResolvers<Error>()
  client.onError.add((error) => {
    errors.push(error)
    resolve(error)
  })
  const { sent, received } = transport
  return { client, sent, received, errors, firstError, destroy: () => client.destroy() }
}
