import { randomBytes, randomInt } from 'node:crypto'
import type { ByteSocket } from '../socket/byte-socket.ts'
import type { ClientHello } from './client-hello.ts'
import { generatePublicValue } from './public-value.ts'
import { buildServerFlight } from './server-hello.ts'

/** The third record's size while nothing is known of the front's: uniform in [2500, 4699] (wire.md §3). */
const NOISE_MIN_BYTES = 2500
const NOISE_MAX_BYTES = 4699

/** Send the server flight in one write. */
export function answerHello(client: ByteSocket, hello: ClientHello, key: Uint8Array): void {
  const flight = buildServerFlight({
    key,
    clientRandom: hello.random,
    sessionId: hello.sessionId,
    cipherSuite: hello.cipherSuite,
    publicKey: generatePublicValue(),
    noise: randomBytes(randomInt(NOISE_MIN_BYTES, NOISE_MAX_BYTES + 1)),
  })
  client.write(flight)
}
