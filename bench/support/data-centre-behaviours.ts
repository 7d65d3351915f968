import type { Cipheriv } from 'node:crypto'
import type { Socket } from 'node:net'

import { patternSlice } from '../../test/support/stream-dc.ts'
import { MIB } from './scenario.ts'

/** What a connection is for, the first byte of its payload. */
export const PURPOSE = {
  /** Sends back what it gets. */
  echo: 'e',
  /** Each request of 8 bytes (u64le N) is answered with the next N bytes of the pattern. */
  source: 's',
  /** The same, but behind the first {@link HONEST_BYTES} comes one block over and over, not encrypted. */
  cheapSource: 'S',
  /** Compares with the pattern and acknowledges every MiB with the count so far (u64le). */
  sink: 'k',
  /** The same, but behind the first {@link HONEST_BYTES} it only counts. */
  cheapSink: 'K',
} as const
export type Purpose = (typeof PURPOSE)[keyof typeof PURPOSE]

/** So much is encrypted and compared in every case; the rest only where it was asked for, as it competes with the proxy. */
export const HONEST_BYTES: number = 64 * 1024
/** Amounts that are sent up are multiples of it. */
export const ACKNOWLEDGED_BYTES: number = MIB
const REQUEST_BYTES = 8
/** What one write of a stream carries. */
const CHUNK_BYTES = 64 * 1024

export interface DataCentreLink {
  readonly socket: Socket
  readonly send: Cipheriv
  readonly receive: Cipheriv
}

export interface Behaviour {
  /** Bytes from the wire. */
  take(bytes: Buffer): void
}

/** Null when there is no such purpose. */
export function createBehaviour(purpose: string, link: DataCentreLink): Behaviour | null {
  switch (purpose) {
    case PURPOSE.echo:
      return createEcho(link)
    case PURPOSE.source:
      return createSource(link, Number.POSITIVE_INFINITY)
    case PURPOSE.cheapSource:
      return createSource(link, HONEST_BYTES)
    case PURPOSE.sink:
      return createSink(link, Number.POSITIVE_INFINITY)
    case PURPOSE.cheapSink:
      return createSink(link, HONEST_BYTES)
    default:
      return null
  }
}

function createEcho({ socket, send, receive }: DataCentreLink): Behaviour {
  return {
    take(bytes) {
      if (socket.write(send.update(receive.update(bytes)))) return
      socket.pause()
      socket.once('drain', () => socket.resume())
    },
  }
}

function createSource({ socket, send, receive }: DataCentreLink, honestBytes: number): Behaviour {
  let request = Buffer.alloc(0)
  let sentBytes = 0
  let dueBytes = 0
  const pump = (): void => {
    while (dueBytes > 0 && !socket.destroyed) {
      const length = Math.min(CHUNK_BYTES, dueBytes)
      const chunk = patternSlice(sentBytes, length)
      const isHonest = sentBytes < honestBytes
      sentBytes += length
      dueBytes -= length
      if (!socket.write(isHonest ? send.update(chunk) : chunk)) return void socket.once('drain', pump)
    }
  }
  return {
    take(bytes) {
      request = Buffer.concat([request, receive.update(bytes)])
      for (; request.length >= REQUEST_BYTES; request = request.subarray(REQUEST_BYTES)) {
        const isIdle = dueBytes === 0
        dueBytes += Number(request.readBigUInt64LE(0))
        if (isIdle) pump()
      }
    },
  }
}

function createSink({ socket, send, receive }: DataCentreLink, honestBytes: number): Behaviour {
  let receivedBytes = 0
  let acknowledgedBytes = 0
  return {
    take(bytes) {
      const honest = bytes.subarray(0, Math.max(0, honestBytes - receivedBytes))
      if (!receive.update(honest).equals(patternSlice(receivedBytes, honest.length))) {
        // The client sees the end, and says so.
        return void socket.destroy(new Error('the upload differs'))
      }
      receivedBytes += bytes.length
      for (; acknowledgedBytes + ACKNOWLEDGED_BYTES <= receivedBytes;) {
        acknowledgedBytes += ACKNOWLEDGED_BYTES
        const count = Buffer.alloc(REQUEST_BYTES)
        count.writeBigUInt64LE(BigInt(acknowledgedBytes))
        socket.write(send.update(count))
      }
    },
  }
}
