import { randomFillSync } from 'node:crypto'
import type { TrafficProfile } from '#shared/traffic-profile'
import type { ByteSocket } from '../socket/byte-socket.ts'
import type { ClientHello } from './client-hello.ts'
import { chooseFlightShape } from './flight-shape.ts'
import type { UserKey } from './host-keys.ts'
import { PUBLIC_VALUE_BYTES } from './public-value.ts'
import type { PublicValues } from './public-values.ts'
import { MAX_OUTBOUND_PAYLOAD_BYTES } from './record.ts'
import { buildServerFlight, Group, type KeyShare } from './server-hello.ts'

/** An ML-KEM-768 ciphertext (FIPS 203 §8). All of its bytes are compressed coefficients: any value is a valid one. */
const MLKEM768_CIPHERTEXT_BYTES = 1088

/** What goes into a flight, and is copied there, before the next one is made. */
const NOISE = Buffer.allocUnsafeSlow(MAX_OUTBOUND_PAYLOAD_BYTES)
const HYBRID_SHARE = Buffer.allocUnsafeSlow(MLKEM768_CIPHERTEXT_BYTES + PUBLIC_VALUE_BYTES)

/** Send the server flight in one write, in the shape that the fronting host would give it. */
export function answerHello(
  client: ByteSocket,
  hello: ClientHello,
  { key, host }: Pick<UserKey, 'key' | 'host'>,
  profile: TrafficProfile,
  publicValues: Pick<PublicValues, 'take'>,
): void {
  const { cipherSuite, group, extensions, noiseBytes } = chooseFlightShape(hello, host, profile, Math.random)
  const flight = buildServerFlight({
    key,
    clientRandom: hello.random,
    sessionId: hello.sessionId,
    cipherSuite,
    keyShare: makeKeyShare(group, publicValues.take()),
    extensions,
    noise: randomFillSync(NOISE.subarray(0, noiseBytes)),
  })
  client.write(flight)
}

/** A share that nobody will ever use, but that a censor may check: its point is on the curve. */
function makeKeyShare(group: number, point: Buffer): KeyShare {
  if (group !== Group.X25519MLKEM768) return { group, key: point }
  randomFillSync(HYBRID_SHARE, 0, MLKEM768_CIPHERTEXT_BYTES)
  point.copy(HYBRID_SHARE, MLKEM768_CIPHERTEXT_BYTES)
  return { group, key: HYBRID_SHARE }
}
