import { readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { Family } from './name-source.ts'

const PATH = '/etc/hosts'
/** How long a change may go unnoticed. */
const CHECK_INTERVAL_MS = 5_000
/** Lists of advertisers' hosts have that many; what is larger is no list of hosts. */
const MAX_BYTES = 16 * 1024 * 1024

/** What the operator has fixed on this host, which goes before any name server, as it does with the system's resolver. */
export class HostsFile {
  readonly #path: string
  #entries: ReadonlyMap<string, readonly string[]>
  /** Of the file that was read, so that a large one is not read again and again. */
  #version: string
  #nextCheckMs: number
  #reading: Promise<void> | null

  constructor(path: string = PATH) {
    this.#path = path
    this.#entries = new Map()
    this.#version = ''
    this.#nextCheckMs = -Infinity
    this.#reading = null
  }

  /** Empty when the file does not have the name. Never rejects. */
  async find(name: string, family: Family): Promise<readonly string[]> {
    if (performance.now() >= this.#nextCheckMs) {
      this.#reading ??= this.#refresh().finally(() => (this.#reading = null))
      await this.#reading
    }
    const addresses = this.#entries.get(name) ?? []
    return family === 0 ? addresses : addresses.filter((address) => isIP(address) === family)
  }

  async #refresh(): Promise<void> {
    try {
      const { mtimeMs, ino, size } = await stat(this.#path)
      const version = `${mtimeMs} ${ino} ${size}`
      if (version === this.#version || size > MAX_BYTES) return
      this.#entries = parseHosts(await readFile(this.#path, 'latin1'))
      this.#version = version
    } catch {
      // Many hosts have none, and containers may not let us read it.
      this.#entries = new Map()
      this.#version = ''
    } finally {
      // Not before: whoever asks while it is read has to wait for it too.
      this.#nextCheckMs = performance.now() + CHECK_INTERVAL_MS
    }
  }
}

/** hosts(5): an address and its names on each line, `#` begins a comment. */
export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const entries = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    if (isIP(address) === 0) continue
    for (const name of names) {
      const key = name.toLowerCase().replace(/\.$/, '')
      const known = entries.get(key)
      if (known === undefined) entries.set(key, [address])
      else if (!known.includes(address)) known.push(address)
    }
  }
  return entries
}
