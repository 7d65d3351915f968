import { resolve } from 'node:path'

import { type Decoder, fail } from './decoders.ts'

/** The path of a file, relative to the working directory; it comes back absolute and need not exist. */
export const decodePath: Decoder<string> = (found) =>
  typeof found === 'string' && found !== '' && !found.includes('\0')
    ? { ok: true, value: resolve(found) }
    : fail('expected the path of a file')
