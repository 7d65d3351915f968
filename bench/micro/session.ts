/**
 * What does it cost to open a session: the client's frame with its two SHA-256 and two ciphers, and the frame for the data
 * centre, in fast mode and without? Processor time of the thread. Run: node bench/micro/session.ts [--json] [--quick]
 */
import { randomBytes } from 'node:crypto'

import { acceptClientFrame, greetDc } from '#worker/obfuscated2/handshake'
import { deriveClientKeys } from '#worker/obfuscated2/keys'
import { NodeCiphers } from '#worker/obfuscated2/node-ciphers'
import { buildClientFrame } from '../../test/support/faketls-client.ts'
import { IS_QUICK, measureCases, printFigures, repeat } from '../support/micro.ts'

const CALLS = IS_QUICK ? 5 : 100
const DC = 2
const ciphers = new NodeCiphers()

const secretKey = randomBytes(16)
const { frame } = buildClientFrame(secretKey, DC)
const { down } = deriveClientKeys(frame, secretKey)

const figures = await measureCases([
  repeat('acceptClientFrame', CALLS, () => {
    const accepted = acceptClientFrame(frame, secretKey, ciphers)
    if (!accepted.ok || accepted.session.dc !== DC) throw new Error('the frame is a good one')
  }),
  repeat('greetDc, fast mode', CALLS, () => void greetDc(DC, randomBytes, down, ciphers)),
  // Without fast mode we decrypt as well: the stream for that belongs to the price.
  repeat('greetDc', CALLS, () => void ciphers.open(greetDc(DC, randomBytes, null, ciphers).downKey)),
  repeat('deriveClientKeys: two SHA-256', CALLS, () => void deriveClientKeys(frame, secretKey)),
  repeat('open a stream', CALLS, () => void ciphers.open(down)),
])
printFigures('session', figures)
