/** TLS records as bytes (RFC 8446 §5.1): `type u8 | version u16 | length u16 | payload`. */

export const RECORD_HEADER_BYTES = 5

export const RecordType = {
  ChangeCipherSpec: 0x14,
  Alert: 0x15,
  Handshake: 0x16,
  ApplicationData: 0x17,
} as const

/** legacy_record_version of everything after the ClientHello. */
export const RECORD_VERSION = 0x0303
/** legacy_record_version of the ClientHello itself. */
export const HELLO_RECORD_VERSION = 0x0301

/** What TLS 1.3 stacks put on the wire for 16384 bytes of content: content, its type byte, a 16-byte tag (decision W6). */
export const MAX_OUTBOUND_PAYLOAD_BYTES = 16401
/** 2^14 + 256, the most that RFC 8446 §5.2 lets a peer send (decision W6). */
export const MAX_INBOUND_PAYLOAD_BYTES = 16640
/** The shortest encrypted record of real TLS 1.3: type byte and tag. A cut never leaves a shorter tail (decision W6). */
export const MIN_TAIL_BYTES = 17

/** Write `type 03 03 length` at `offset`; returns the position behind. */
export function writeRecordHeader(
  target: Buffer,
  offset: number,
  type: number,
  payloadBytes: number,
): number {
  target[offset] = type
  target[offset + 1] = RECORD_VERSION >> 8
  target[offset + 2] = RECORD_VERSION & 0xff
  target[offset + 3] = payloadBytes >> 8
  target[offset + 4] = payloadBytes & 0xff
  return offset + RECORD_HEADER_BYTES
}

/**
 * How much of a backlog of `backlogBytes` the next record takes: `limitBytes` at most, and less where a tail of 1–16
 * bytes would stay behind.
 */
export function fitRecordPayload(
  backlogBytes: number,
  limitBytes: number = MAX_OUTBOUND_PAYLOAD_BYTES,
): number {
  if (backlogBytes <= limitBytes) return backlogBytes
  const tail = backlogBytes - limitBytes
  return tail < MIN_TAIL_BYTES ? backlogBytes - MIN_TAIL_BYTES : limitBytes
}

/** Room that `payloadBytes` take with their record headers. */
export function framedBytes(payloadBytes: number): number {
  return payloadBytes + RECORD_HEADER_BYTES * Math.ceil(payloadBytes / MAX_OUTBOUND_PAYLOAD_BYTES)
}

/** Hot. Cut `payload` into application-data records in `target`; returns the bytes written, `framedBytes` of them. */
export function frameRecords(target: Buffer, payload: Buffer): number {
  const end = payload.length
  let from = 0
  let to = 0
  while (from < end) {
    const n = fitRecordPayload(end - from)
    writeRecordHeader(target, to, RecordType.ApplicationData, n)
    to += RECORD_HEADER_BYTES
    payload.copy(target, to, from, from + n)
    to += n
    from += n
  }
  return to
}
