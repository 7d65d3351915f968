/**
 * The 48 bytes of an SNTP message (RFC 4330 §4):
 *
 *     0   LI 2 bits | version 3 | mode 3
 *     1   stratum          2 poll, 3 precision, 4-15 delay, dispersion, reference id
 *     12  reference id     with stratum 0: a four-letter reason for the refusal
 *     16  reference timestamp
 *     24  originate        the transmit timestamp of the request
 *     32  receive          u32be seconds since 1900 | u32be fraction
 *     40  transmit
 */
export const SNTP_BYTES = 48
export const COOKIE_BYTES = 8
const VERSION_4_CLIENT = 0b00_100_011
const SERVER_MODE = 4
const NOT_SYNCHRONISED = 3
const MAX_STRATUM = 15
const STRATUM_OFFSET = 1
const REFERENCE_ID_OFFSET = 12
const ORIGINATE_OFFSET = 24
const RECEIVE_OFFSET = 32
const TRANSMIT_OFFSET = 40
/** From 1900 to 1970. */
const UNIX_EPOCH_S = 2_208_988_800
/** Seconds with the top bit clear are those after 2036 (RFC 4330 §3). */
const ERA_S = 2 ** 32

/** @param cookie 8 random bytes in place of our time: the server echoes them, and learns nothing of our clock */
export function buildSntpRequest(cookie: Buffer): Buffer {
  const packet = Buffer.alloc(SNTP_BYTES)
  packet[0] = VERSION_4_CLIENT
  cookie.copy(packet, TRANSMIT_OFFSET)
  return packet
}

export type SntpAnswer =
  /** Unix times of the server. */
  { ok: true; receivedAtMs: number; sentAtMs: number } | { ok: false; reason: string }

export function parseSntpAnswer(packet: Buffer, cookie: Buffer): SntpAnswer {
  if (packet.length < SNTP_BYTES) return { ok: false, reason: `an answer of ${packet.length} bytes` }
  const [head = 0, stratum = 0] = [packet[0], packet[STRATUM_OFFSET]]
  if ((head & 7) !== SERVER_MODE) return { ok: false, reason: 'the answer is not one of a server' }
  if (!packet.subarray(ORIGINATE_OFFSET, ORIGINATE_OFFSET + COOKIE_BYTES).equals(cookie))
    return { ok: false, reason: 'the answer belongs to another request' }
  if (stratum === 0) {
    const reason = packet.toString('latin1', REFERENCE_ID_OFFSET, REFERENCE_ID_OFFSET + 4)
    return { ok: false, reason: `the server refuses: ${reason.replace(/[^\x21-\x7e]/g, '')}` }
  }
  if (stratum > MAX_STRATUM || head >> 6 === NOT_SYNCHRONISED)
    return { ok: false, reason: 'the server has no time itself' }
  return {
    ok: true,
    receivedAtMs: readTimestampMs(packet, RECEIVE_OFFSET),
    sentAtMs: readTimestampMs(packet, TRANSMIT_OFFSET),
  }
}

function readTimestampMs(packet: Buffer, offset: number): number {
  const seconds = packet.readUInt32BE(offset)
  const fraction = packet.readUInt32BE(offset + 4) / 2 ** 32
  const era = seconds < 2 ** 31 ? ERA_S : 0
  return (seconds + era - UNIX_EPOCH_S + fraction) * 1000
}
