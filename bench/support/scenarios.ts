import { download } from '../scenarios/download.ts'
import { handshakes } from '../scenarios/handshakes.ts'
import { idle } from '../scenarios/idle.ts'
import { mixed } from '../scenarios/mixed.ts'
import { one } from '../scenarios/one.ts'
import { pingPong } from '../scenarios/ping-pong.ts'
import { secrets } from '../scenarios/secrets.ts'
import { upload } from '../scenarios/upload.ts'
import type { Scenario } from './scenario.ts'

export const SCENARIOS: readonly Scenario[] = [
  handshakes,
  download,
  one,
  upload,
  pingPong,
  idle,
  mixed,
  secrets,
]

export function findScenario(name: string): Scenario {
  const scenario = SCENARIOS.find((known) => known.name === name)
  if (scenario === undefined) {
    throw new Error(`no scenario named ${name}, there are ${SCENARIOS.map((known) => known.name).join(', ')}`)
  }
  return scenario
}
