import { createHmac } from 'node:crypto'
import { HelloDigest } from '../fake-tls/authenticate.ts'
import { HELLO_RANDOM_BYTES, HELLO_RANDOM_OFFSET } from '../fake-tls/client-hello.ts'
import { keyByKey } from './key-by-key.ts'
import { searchFourKeys } from './four-keys.ts'
import type { KeySearch } from './key-search.ts'
import { KeyTable } from './key-table.ts'

/** Around the ends of SHA-256's blocks, and as long as clients send them. */
const IMAGE_BYTES = [55, 56, 119, 517, 1800] as const
/** More than one group, and one that is not full. */
const KEYS = 5

export interface SearchAbility {
  readonly search: KeySearch
  /** Why it is the slow one, or null. */
  readonly reason: string | null
}

/** The fastest search that finds here what it should find. */
export function chooseKeySearch(createTable: () => KeyTable = () => new KeyTable()): SearchAbility {
  try {
    const search = searchFourKeys(createTable())
    if (!findsSigners(search)) return { search: keyByKey, reason: 'the WebAssembly search is wrong here' }
    return { search, reason: null }
  } catch (error) {
    return { search: keyByKey, reason: String(error) }
  }
}

/** Known answers by Node's HMAC: each key's hello has to be found there, and one that nobody signed nowhere. */
function findsSigners(search: KeySearch): boolean {
  const keys = Array.from({ length: KEYS }, (_, n) => Buffer.alloc(16, 0x11 * (n + 1)))
  const set = search.createSet()
  set.replace(keys)
  const backwards = keys.map((_, at) => at).toReversed()
  const isRight = IMAGE_BYTES.every((bytes) => {
    const image = Buffer.alloc(bytes, 0xa5)
    image.fill(0, HELLO_RANDOM_OFFSET, HELLO_RANDOM_OFFSET + HELLO_RANDOM_BYTES)
    const isFound = keys.every((key, at) => {
      const hello = new HelloDigest({ image, random: createHmac('sha256', key).update(image).digest() })
      return set.find(hello, 0, KEYS) === at && set.findAmong(hello, backwards) === at
    })
    const foreign = new HelloDigest({ image, random: Buffer.alloc(HELLO_RANDOM_BYTES, 0x5a) })
    return isFound && set.find(foreign, 0, KEYS) === -1
  })
  set.replace([])
  return isRight
}
