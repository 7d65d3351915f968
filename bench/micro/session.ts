/**
 * What does it cost to open a session: the client's frame with its two SHA-256 and two ciphers, and the frame for the data
 * centre, in fast mode and without? Processor time of the thread. Run: node bench/micro/session.ts [--json] [--quick]
 */
import { randomBytes } from 'node:crypto'

import { createCtrStream, deriveClientKeys } from '#worker/obfuscated2/ciphers'
import { acceptClientFrame, greetDc } from '#worker/obfuscated2/handshake'
import { buildClientFrame } from '../../test/support/faketls-client.ts'
import { IS_QUICK, measureCases, printFigures, repeat } from '../support/micro.ts'

const CALLS = IS_QUICK ? 5 : 100
const DC = 2

const secretKey = randomBytes(16)
const { frame } = buildClientFrame(secretKey, DC)
const { down } = deriveClientKeys(frame, secretKey)

const figures = await measureCases([
  repeat('acceptClientFrame', CALLS, () => {
    const accepted = acceptClientFrame(frame, secretKey)
    if (!accepted.ok || accepted.session.dc !== DC) throw new Error('the frame is a good one')
  }),
  repeat('greetDc, fast mode', CALLS, () => void greetDc(DC, randomBytes, down)),
  repeat('greetDc', CALLS, () => void greetDc(DC, randomBytes, null)),
  repeat('deriveClientKeys: two SHA-256', CALLS, () => void deriveClientKeys(frame, secretKey)),
  repeat('createCtrStream', CALLS, () => void createCtrStream(down)),
])
printFigures('session', figures)
