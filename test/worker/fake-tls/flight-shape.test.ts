import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UNLEARNT_PROFILE, type NoiseModel } from '#shared/traffic-profile'
import { parseClientHello } from '#worker/fake-tls/client-hello'
import { chooseFlightShape } from '#worker/fake-tls/flight-shape'
import { buildClientHello } from '../../support/client-hello.ts'

const HOST = 'front.test'

/** Of a host of which no answer was seen. */
function chooseNoise(noise: NoiseModel | null, chance: number): number {
  const parsed = parseClientHello(buildClientHello({ key: Buffer.alloc(16, 3), host: HOST }).bytes)
  assert.ok(parsed.ok)
  return chooseFlightShape(parsed.hello, HOST, { ...UNLEARNT_PROFILE, noise }, () => chance).noiseBytes
}

test('while nothing is known the certificate has the sizes of the reference', () => {
  assert.deepEqual([chooseNoise(null, 0), chooseNoise(null, 0.999_999)], [2500, 4699])
})

test('what was learnt of pages is drawn around its mean, never less than a certificate nor more than a record', () => {
  const noise = { meanBytes: 3000.7, jitterBytes: 200 }
  assert.deepEqual(
    [chooseNoise(noise, 0), chooseNoise(noise, 0.5), chooseNoise(noise, 0.999_999)],
    [2800, 3000, 3199],
  )
  assert.equal(chooseNoise({ meanBytes: 300, jitterBytes: 100 }, 0.5), 1000)
  assert.equal(chooseNoise({ meanBytes: 40_000, jitterBytes: 100 }, 0.5), 16_401)
})
