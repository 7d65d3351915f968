// hot: one call per read of every relayed client
import { MAX_INBOUND_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RECORD_VERSION, RecordType } from './record.ts'

/** Records in a row that may deliver no payload before the peer counts as hostile (decision W6). */
export const MAX_IDLE_RECORDS = 32

export type RecordEnd = 'close-notify' | 'fatal-alert' | 'record-version' | 'record-length' | 'idle-records'

const ALERT_CLOSE_NOTIFY = 0
const ALERT_FATAL = 2

/**
 * Takes the client's TLS records off its bytes as they come, cut anywhere: application data is kept, everything
 * else is read and dropped. Payload is handed on without waiting for the end of its record (wire.md §4 and P7).
 */
export class RecordDecoder {
  /** Why nothing further will be decoded, or null. */
  end: RecordEnd | null
  #headerBytes: number
  #type: number
  /** The rest of the header that is being read: version and length, as far as they have come. */
  #header: number
  /** Payload bytes of the current record still to come. */
  #left: number
  #alertLevel: number
  #alertBytes: number
  #idleRecords: number

  constructor() {
    this.end = null
    this.#headerBytes = 0
    this.#type = 0
    this.#header = 0
    this.#left = 0
    this.#alertLevel = 0
    this.#alertBytes = 0
    this.#idleRecords = 0
  }

  /**
   * Move the application data in `chunk` together to its beginning, so that one decrypt serves many records.
   * Returns its length in bytes. `end` tells whether the stream ended within this chunk.
   */
  decode(chunk: Buffer): number {
    let from = 0
    let to = 0
    while (from < chunk.length && this.end === null) {
      if (this.#left === 0) {
        from = this.#readHeader(chunk, from)
        continue
      }
      const n = Math.min(this.#left, chunk.length - from)
      if (this.#type === RecordType.ApplicationData) {
        if (to !== from) chunk.copyWithin(to, from, from + n)
        to += n
        this.#idleRecords = 0
      } else if (this.#type === RecordType.Alert) {
        this.#readAlert(chunk, from, n)
      }
      from += n
      this.#left -= n
    }
    return to
  }

  /** Collects the five header bytes, which a chunk may cut anywhere. Returns the new position. */
  #readHeader(chunk: Buffer, from: number): number {
    let at = from
    for (; at < chunk.length && this.#headerBytes < RECORD_HEADER_BYTES; at++) {
      const byte = chunk[at]! // inside by the loop's bound
      if (this.#headerBytes === 0) this.#type = byte
      else this.#header = (this.#header << 8) | byte
      this.#headerBytes += 1
    }
    if (this.#headerBytes < RECORD_HEADER_BYTES) return at

    const version = this.#header >>> 16
    this.#left = this.#header & 0xffff
    this.#headerBytes = 0
    this.#header = 0
    this.#alertBytes = 0
    if (this.#type !== RecordType.ApplicationData || this.#left === 0) this.#idleRecords += 1
    if (version !== RECORD_VERSION) this.end = 'record-version'
    else if (this.#left > MAX_INBOUND_PAYLOAD_BYTES) this.end = 'record-length'
    else if (this.#idleRecords > MAX_IDLE_RECORDS) this.end = 'idle-records'
    return at
  }

  /** `level u8 | description u8`; a warning other than close_notify is passed over. */
  #readAlert(chunk: Buffer, from: number, n: number): void {
    for (let i = from; i < from + n; i++) {
      if (this.#alertBytes === 0) this.#alertLevel = chunk[i]!
      else if (this.#alertBytes === 1) {
        if (chunk[i] === ALERT_CLOSE_NOTIFY) this.end = 'close-notify'
        else if (this.#alertLevel === ALERT_FATAL) this.end = 'fatal-alert'
      }
      this.#alertBytes += 1
    }
  }
}
