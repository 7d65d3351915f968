import type { FrontFlight, NoiseModel, TrafficProfile } from '#shared/traffic-profile'
import { normalizeHost, offersCipherSuite, offersKeyShare, type ClientHello } from './client-hello.ts'
import { MAX_OUTBOUND_PAYLOAD_BYTES, MIN_TAIL_BYTES, RECORD_HEADER_BYTES } from './record.ts'
import { Group, USUAL_EXTENSIONS } from './server-hello.ts'

/** The third record's size while nothing is known of the front's: uniform in [2500, 4699] (wire.md §3). */
const REFERENCE_NOISE_BYTES = { min: 2500, values: 2200 } as const
/** Of what is learnt by visiting pages, less than this is no certificate (wire.md §3). */
const MIN_LEARNT_NOISE_BYTES = 1000
/** An X25519MLKEM768 share of a client: an ML-KEM-768 encapsulation key and a point. */
const CLIENT_HYBRID_SHARE_BYTES = 1184 + 32

/** What a server flight looks like from outside. */
export interface FlightShape {
  readonly cipherSuite: number
  readonly group: number
  readonly extensions: readonly number[]
  /** Payload of the application-data record, bytes. */
  readonly noiseBytes: number
}

/**
 * The shape in which the fronting host would answer this hello, as far as clients accept it (decision W5); the
 * reference's, while nothing is known of the host.
 * @param random uniform in [0, 1)
 */
export function chooseFlightShape(
  hello: ClientHello,
  host: string,
  profile: TrafficProfile,
  random: () => number,
): FlightShape {
  const flights = profile.flights.get(normalizeHost(host))
  if (flights === undefined) {
    return {
      cipherSuite: hello.cipherSuite,
      group: Group.X25519,
      extensions: USUAL_EXTENSIONS,
      noiseBytes: clampNoise(drawNoise(profile.noise, random)),
    }
  }
  const isHybrid = offersKeyShare(hello, Group.X25519MLKEM768, CLIENT_HYBRID_SHARE_BYTES)
  const flight = isHybrid ? flights.hybrid : flights.classic
  return {
    cipherSuite: offersCipherSuite(hello, flight.cipherSuite) ? flight.cipherSuite : hello.cipherSuite,
    // Any other group takes a second hello, which clients do not know.
    group: isHybrid && flight.group === Group.X25519MLKEM768 ? flight.group : Group.X25519,
    extensions: flight.extensions,
    noiseBytes: clampNoise(fitOneRecord(flight, random)),
  }
}

/**
 * Clients sign for exactly one record, so that it stands for all that the host sends there: as many bytes on the wire.
 * Sizes differ by a byte or two from one handshake to the next, as signatures do; any that was seen will do.
 */
function fitOneRecord({ encryptedBytes }: FrontFlight, random: () => number): number {
  const total = encryptedBytes[Math.floor(random() * encryptedBytes.length)] ?? 0
  return total - RECORD_HEADER_BYTES
}

function drawNoise(noise: NoiseModel | null, random: () => number): number {
  if (noise === null) {
    return REFERENCE_NOISE_BYTES.min + Math.floor(random() * REFERENCE_NOISE_BYTES.values)
  }
  const { meanBytes, jitterBytes } = noise
  return Math.max(
    MIN_LEARNT_NOISE_BYTES,
    Math.floor(meanBytes) - jitterBytes + Math.floor(random() * 2 * jitterBytes),
  )
}

/** The third record always exists, and is one of TLS 1.3. */
function clampNoise(bytes: number): number {
  return Math.min(MAX_OUTBOUND_PAYLOAD_BYTES, Math.max(MIN_TAIL_BYTES, bytes))
}
