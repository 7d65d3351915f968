/**
 * What does the answer to a ClientHello cost, part by part? Processor time of the thread.
 * Run: node bench/micro/server-flight.ts [--json] [--quick]
 */
import { randomBytes } from 'node:crypto'

import { UNLEARNT_PROFILE } from '#shared/traffic-profile'
import { parseClientHello } from '#worker/fake-tls/client-hello'
import { chooseFlightShape } from '#worker/fake-tls/flight-shape'
import { generatePublicValue } from '#worker/fake-tls/public-value'
import { buildServerFlight, Group, USUAL_EXTENSIONS } from '#worker/fake-tls/server-hello'
import { buildClientHello } from '../../test/support/client-hello.ts'
import { IS_QUICK, measureCases, printFigures, repeat } from '../support/micro.ts'

const CALLS = IS_QUICK ? 5 : 50
const HOST = 'example.com'
const NOISE_BYTES = [2500, 4699, 16_401]

const key = randomBytes(16)
const parsed = parseClientHello(buildClientHello({ key, host: HOST }).bytes)
if (!parsed.ok) throw new Error(parsed.code)
const { hello } = parsed
const flightOf = (noise: Buffer): Buffer =>
  buildServerFlight({
    key,
    clientRandom: hello.random,
    sessionId: hello.sessionId,
    cipherSuite: hello.cipherSuite,
    keyShare: { group: Group.X25519, key: point },
    extensions: USUAL_EXTENSIONS,
    noise,
  })
const point = generatePublicValue()

const figures = await measureCases([
  repeat(
    'chooseFlightShape, nothing learnt',
    CALLS,
    () => void chooseFlightShape(hello, HOST, UNLEARNT_PROFILE, Math.random),
  ),
  repeat('generatePublicValue', CALLS, () => void generatePublicValue()),
  repeat('randomBytes, 32 bytes', CALLS, () => void randomBytes(32)),
  ...NOISE_BYTES.map((bytes) => repeat(`randomBytes, ${bytes} bytes`, CALLS, () => void randomBytes(bytes))),
  ...NOISE_BYTES.map((bytes) => {
    const noise = randomBytes(bytes)
    return repeat(`buildServerFlight, ${bytes} bytes of noise`, CALLS, () => void flightOf(noise))
  }),
])
printFigures('server-flight', figures)
