import { Long, type mtp, type tl } from '@mtcute/node'
import { __tlReaderMap, __tlWriterMap, TlBinaryReader, TlBinaryWriter } from '@mtcute/node/utils.js'

/** Constructors that MTProto clients read and write by hand (core.telegram.org/schema/mtproto). */
export const TL = {
  msgContainer: 0x73f1f8dc,
  gzipPacked: 0x3072cfa1,
  rpcResult: 0xf35c6d01,
  futureSalts: 0xae500895,
  boolTrue: 0x997275b5,
} as const

/** Reads TL from a packet; unknown constructors throw. */
export function createReader(bytes: Uint8Array): TlBinaryReader {
  return new TlBinaryReader(__tlReaderMap, bytes)
}

/** All that the data centre sends. */
type SentObject = mtp.TlObject | tl.RawConfig | tl.RawNearestDc | tl.upload.RawFile

/** The TL form of an object, its constructor first. */
export function serialize(object: SentObject): Uint8Array {
  return TlBinaryWriter.serializeObject(__tlWriterMap, object)
}

/** The TL form of a `bytes` value: length, bytes, padding to four. */
export function serializeBytes(bytes: Uint8Array): Uint8Array {
  const writer = TlBinaryWriter.manual(bytes.length + 8)
  writer.bytes(bytes)
  return writer.result()
}

export function toLong(value: bigint): Long {
  return Long.fromBits(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)))
}

export function fromLong(value: Long): bigint {
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0)
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

export function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(value)
  return bytes
}
