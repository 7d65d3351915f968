import { randomBytes } from 'node:crypto'
import type { TrafficProfile } from '#shared/traffic-profile'
import type { ByteSocket } from '../socket/byte-socket.ts'
import type { ClientHello } from './client-hello.ts'
import { chooseFlightShape } from './flight-shape.ts'
import type { UserKey } from './host-keys.ts'
import { generatePublicValue } from './public-value.ts'
import { buildServerFlight, Group, type KeyShare } from './server-hello.ts'

/** An ML-KEM-768 ciphertext (FIPS 203 §8). All of its bytes are compressed coefficients: any value is a valid one. */
const MLKEM768_CIPHERTEXT_BYTES = 1088

/** Send the server flight in one write, in the shape that the fronting host would give it. */
export function answerHello(
  client: ByteSocket,
  hello: ClientHello,
  { key, host }: Pick<UserKey, 'key' | 'host'>,
  profile: TrafficProfile,
): void {
  const { cipherSuite, group, extensions, noiseBytes } = chooseFlightShape(hello, host, profile, Math.random)
  const flight = buildServerFlight({
    key,
    clientRandom: hello.random,
    sessionId: hello.sessionId,
    cipherSuite,
    keyShare: makeKeyShare(group),
    extensions,
    noise: randomBytes(noiseBytes),
  })
  client.write(flight)
}

/** A share that nobody will ever use, but that a censor may check: its point is on the curve. */
function makeKeyShare(group: number): KeyShare {
  const point = generatePublicValue()
  if (group !== Group.X25519MLKEM768) return { group, key: point }
  return { group, key: Buffer.concat([randomBytes(MLKEM768_CIPHERTEXT_BYTES), point]) }
}
