import assert from 'node:assert/strict'
import type { DiffieHellman } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

import { NodeCryptoProvider } from '@mtcute/node/utils.js'

import type { HostPort } from '#shared/dc'

import type { Uploads } from './telegram-dc/api.ts'
import { DcConnection, type DcState } from './telegram-dc/connection.ts'
import { generateDhKeys } from './telegram-dc/key-exchange.ts'
import {
  acceptFrame,
  buildTransportError,
  FRAME_BYTES,
  type ObfuscatedStreams,
  PacketReader,
} from './telegram-dc/obfuscated-transport.ts'
import { generateRsaKey, type TelegramRsaKey } from './telegram-dc/rsa-key.ts'

export interface TelegramDcOptions {
  /** 1–5 */
  readonly dcId: number
  readonly host?: string
  readonly port?: number
}

export interface TelegramDc {
  readonly address: HostPort
  readonly dcId: number
  /** PKCS #1; goes into the client library's `addPublicKey`. */
  readonly publicKeyPem: string
  /** One for each connection that came with a good frame; `dc` is negative for media. */
  readonly frames: readonly { readonly dc: number }[]
  readonly keyExchanges: readonly { readonly dc: number; readonly temporary: boolean }[]
  /** Whatever a real data centre would have refused. A test expects none. */
  readonly faults: readonly Error[]
  /** Resolves with the first of them, and never if there is none. */
  readonly firstFault: Promise<Error>
  /** The parts that were sent for a file, put together in their order. */
  uploadedFile(fileId: bigint): Buffer
  close(): Promise<void>
}

interface SharedKeys {
  readonly crypto: NodeCryptoProvider
  readonly rsaKey: TelegramRsaKey
  readonly dh: DiffieHellman
}

let sharedKeys: Promise<SharedKeys> | undefined

/** All data centres of a process have one RSA key, as Telegram's do, and one DH pair: both take a second to make. */
async function loadSharedKeys(): Promise<SharedKeys> {
  const crypto = new NodeCryptoProvider()
  await crypto.initialize()
  return { crypto, rsaKey: generateRsaKey(crypto), dh: generateDhKeys() }
}

/**
 * A Telegram data centre as it looks from behind an MTProto proxy: obfuscated2 without a secret, padded intermediate,
 * the key exchange, MTProto 2.0, and the few calls that a client library makes before anyone has logged in. Written
 * from core.telegram.org/mtproto, with the TL codec and AES-IGE of @mtcute.
 */
export async function startTelegramDc(options: TelegramDcOptions): Promise<TelegramDc> {
  sharedKeys ??= loadSharedKeys()
  const { crypto, rsaKey, dh } = await sharedKeys
  const { dcId, host = '127.0.0.1', port = 0 } = options
  const frames: { dc: number }[] = []
  const keyExchanges: { dc: number; temporary: boolean }[] = []
  const faults: Error[] = []
  const { promise: firstFault, resolve: resolveFault } = Promise.withResolvers<Error>()
  const uploads: Uploads = new Map()
  const state: DcState = {
    crypto,
    dcId,
    rsaKey,
    dh,
    authKeys: new Map(),
    uploads,
    onKeyExchange: (exchange) => keyExchanges.push(exchange),
  }

  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // A client may leave at any time, and a reset is one way of leaving.
    socket.on('error', () => undefined)
    serveSocket(socket, state, {
      onFrame: (dc) => frames.push({ dc }),
      onFault: (fault) => {
        faults.push(fault)
        resolveFault(fault)
      },
    })
  })
  server.listen(port, host)
  await once(server, 'listening')
  // A TCP server's address is an object.
  const bound = server.address() as AddressInfo

  return {
    address: { host, port: bound.port },
    dcId,
    publicKeyPem: rsaKey.publicKeyPem,
    frames,
    keyExchanges,
    faults,
    firstFault,
    uploadedFile: (fileId) => joinParts(uploads.get(fileId)),
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

interface SocketEvents {
  readonly onFrame: (dc: number) => void
  readonly onFault: (fault: Error) => void
}

/** The frame first, then packets. Whoever breaks the protocol is noted and cut off. */
function serveSocket(socket: Socket, state: DcState, events: SocketEvents): void {
  let head = Buffer.alloc(0)
  let established: { streams: ObfuscatedStreams; connection: DcConnection } | undefined
  const packets = new PacketReader()

  const receive = (chunk: Buffer): void => {
    let rest = chunk
    if (established === undefined) {
      head = Buffer.concat([head, chunk])
      if (head.length < FRAME_BYTES) return
      const streams = acceptFrame(head.subarray(0, FRAME_BYTES))
      rest = head.subarray(FRAME_BYTES)
      events.onFrame(streams.dc)
      if (Math.abs(streams.dc) !== state.dcId) {
        socket.end(streams.send.update(buildTransportError(444)))
        assert.fail(`a connection for data centre ${streams.dc} came to ${state.dcId}`)
      }
      established = { streams, connection: new DcConnection(state, streams.dc) }
    }
    const { streams, connection } = established
    for (const packet of packets.push(streams.receive.update(rest))) {
      for (const answer of connection.answer(packet)) socket.write(streams.send.update(answer))
    }
  }

  // Without setEncoding chunks are buffers.
  socket.on('data', (chunk: Buffer) => {
    try {
      receive(chunk)
    } catch (error) {
      events.onFault(error instanceof Error ? error : new Error(String(error)))
      socket.removeAllListeners('data')
      socket.destroySoon()
    }
  })
}

function joinParts(parts: ReadonlyMap<number, Buffer> | undefined): Buffer {
  const sorted = [...(parts ?? [])].sort(([first], [second]) => first - second)
  return Buffer.concat(sorted.map(([, bytes]) => bytes))
}
