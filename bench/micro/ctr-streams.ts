/**
 * What does a pass of AES-256-CTR cost by the size of the chunk? Processor time of the thread, garbage included.
 * Run: node bench/micro/ctr-streams.ts [--json] [--quick]
 */
import { randomBytes } from 'node:crypto'

import { createCtrStream } from '#worker/obfuscated2/ciphers'
import { IS_QUICK, measureCases, printFigures, repeat } from '../support/micro.ts'

/** A message, a record of a client, and reads of both sides up to the largest. */
const CHUNK_BYTES = [64, 200, 2878, 16 * 1024, 64 * 1024, 128 * 1024, 256 * 1024]
/** For small chunks, so that the clock is read seldom enough. */
const MIN_BYTES_PER_LOOK = IS_QUICK ? 1 : 64 * 1024

const stream = createCtrStream({ key: randomBytes(32), iv: randomBytes(16) })
const cases = CHUNK_BYTES.map((bytes) => {
  const chunk = randomBytes(bytes)
  return repeat(
    `update, ${bytes} bytes`,
    Math.ceil(MIN_BYTES_PER_LOOK / bytes),
    () => void stream.update(chunk),
  )
})
const figures = await measureCases(cases)
printFigures(
  'ctr-streams',
  figures.flatMap((figure, at) => [
    figure,
    {
      name: `  per KiB, ${CHUNK_BYTES[at]} bytes`,
      nsPerCall: (figure.nsPerCall / (CHUNK_BYTES[at] ?? 1)) * 1024,
    },
  ]),
)
