import { MAX_OUTBOUND_PAYLOAD_BYTES } from '../fake-tls/record.ts'

/** Dynamic record sizes as large sites have them (wire.md §9.3): records up to `lastRecord` are about `bytes` long. */
const DRS_STEPS = [
  { lastRecord: 40, bytes: 1450 },
  { lastRecord: 60, bytes: 4096 },
] as const
/** Each is shorter by up to this much, exclusive. */
const DRS_JITTER_BYTES = 100

/** How long the next record may be: always the maximum, or small after a pause and growing. */
export class RecordSizer {
  readonly #isDynamic: boolean
  readonly #random: () => number
  #records: number

  /**
   * @param isDynamic `defense.doppelganger.drs`
   * @param random uniform in [0, 1)
   */
  constructor(isDynamic: boolean, random: () => number) {
    this.#isDynamic = isDynamic
    this.#random = random
    this.#records = 0
  }

  /** Payload of the next record at most, bytes. Counts the record. */
  next(): number {
    if (this.isPlain) return MAX_OUTBOUND_PAYLOAD_BYTES
    this.#records += 1
    const step = this.#records <= DRS_STEPS[0].lastRecord ? DRS_STEPS[0] : DRS_STEPS[1]
    return step.bytes - Math.floor(this.#random() * DRS_JITTER_BYTES)
  }

  /** To be called before the first record after a pause (decision W11; the reference is late by one record). */
  reset(): void {
    this.#records = 0
  }

  /** All records from here to the next pause may have the maximum length. */
  get isPlain(): boolean {
    return !this.#isDynamic || this.#records >= DRS_STEPS[1].lastRecord
  }
}

/** Room for `payloadBytes` with their record headers, whatever sizes are drawn. */
export function maxFramedBytes(payloadBytes: number): number {
  // The shortest record that a cut makes: the smallest step, less its jitter and what keeps a tail from being too short.
  const minRecordBytes = DRS_STEPS[0].bytes - DRS_JITTER_BYTES - 16
  return payloadBytes + 5 * (1 + Math.ceil(payloadBytes / minRecordBytes))
}
