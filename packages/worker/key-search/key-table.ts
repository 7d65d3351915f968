import {
  AT,
  buildSearchModule,
  GROUP_BYTES,
  KEY_WORDS,
  LANES,
  MAX_MESSAGE_BYTES,
  PAGE_BYTES,
  type SearchExports,
} from './search-module.ts'
import { BLOCK_BYTES } from './sha256-constants.ts'
import { findWebAssembly, type WasmMemory } from './web-assembly.ts'

/** 64 MiB: a million keys. Keys beyond are tried one by one. */
const MAX_TABLE_PAGES = 1024
/** 256 KiB: 4096 keys. */
const PAGES_PER_STEP = 4
const GROUP_WORDS = GROUP_BYTES / 4
/** The byte behind the message, and the length of it all in bits (FIPS 180-4 §5.1.1). */
const PADDING_BYTES = 1 + 8
const NONE = 0

/** What keys are tried on. */
export interface SignedMessage {
  /** Never changed. */
  readonly message: Uint8Array
  /** What its digest begins with. */
  readonly firstWord: number
}

/**
 * The memory of the search, one for each thread: groups of four keys, of which only the midstates are kept (64 bytes a
 * key), and the message that they are tried on. What they are keys of is the matter of `LaneKeys`.
 */
export class KeyTable {
  readonly #memory: WasmMemory
  readonly #exports: SearchExports
  readonly #maxBytes: number
  readonly #free: number[]
  /** Where the next group comes that nobody had before. */
  #end: number
  /** For keys that come from several groups. */
  readonly #scratch: number
  #bytes: Uint8Array
  #words: DataView
  #lanes: Int32Array
  /** Whose schedule is in the memory. */
  #loaded: SignedMessage | null
  #blocks: number

  /** @throws where WebAssembly or its vector instructions are missing, or memory is */
  constructor(maxPages: number = MAX_TABLE_PAGES) {
    const api = findWebAssembly()
    if (api === null) throw new Error('this Node has no WebAssembly')
    const module = new api.Module(buildSearchModule(maxPages))
    this.#memory = new api.Memory({ initial: AT.groups / PAGE_BYTES, maximum: maxPages })
    // The module is ours and exports exactly this.
    this.#exports = new api.Instance(module, { env: { memory: this.#memory } }).exports as SearchExports
    this.#maxBytes = maxPages * PAGE_BYTES
    this.#free = []
    this.#end = AT.groups
    this.#bytes = new Uint8Array(this.#memory.buffer)
    this.#words = new DataView(this.#memory.buffer)
    this.#lanes = new Int32Array(this.#memory.buffer)
    this.#loaded = null
    this.#blocks = 0
    this.#scratch = this.allocate()
    if (this.#scratch === NONE) throw new Error('no memory for a table of keys')
  }

  /** Memory that it has, whether in use or not. */
  get byteLength(): number {
    return this.#bytes.length
  }

  /** @returns the address of a group, or 0 when the table is full */
  allocate(): number {
    const reused = this.#free.pop()
    if (reused !== undefined) return reused
    if (this.#end + GROUP_BYTES > this.#bytes.length && !this.#grow()) return NONE
    const group = this.#end
    this.#end += GROUP_BYTES
    return group
  }

  /** Nothing of its keys stays. */
  release(group: number): void {
    this.#bytes.fill(0, group, group + GROUP_BYTES)
    this.#free.push(group)
  }

  /** Give a group its keys, up to four of 16 bytes; where there are less, any key may be in the lanes behind them. */
  setKeys(group: number, keys: readonly Uint8Array[]): void {
    for (const [lane, key] of keys.entries()) {
      const view = new DataView(key.buffer, key.byteOffset, KEY_WORDS * 4)
      for (let word = 0; word < KEY_WORDS; word++)
        this.#words.setInt32(AT.keys + (word * LANES + lane) * 4, view.getInt32(word * 4), true)
    }
    this.#exports.midstates(group)
    this.#bytes.fill(0, AT.keys, AT.keys + KEY_WORDS * LANES * 4)
  }

  /** Whether its messages have room for the hello. */
  canLoad(hello: SignedMessage): boolean {
    return hello.message.length <= MAX_MESSAGE_BYTES
  }

  /** @returns bits: lane by lane whether the key's digest begins as the hello's does */
  match(group: number, hello: SignedMessage): number {
    if (this.#loaded !== hello) this.#load(hello)
    return this.#exports.match(group, this.#blocks)
  }

  /** The same for keys out of several groups, as `match` of a group that had these four. */
  matchLanes(
    lanes: readonly { readonly group: number; readonly lane: number }[],
    hello: SignedMessage,
  ): number {
    const to = this.#scratch / 4
    for (const [at, { group, lane }] of lanes.entries()) {
      const from = group / 4
      for (let word = 0; word < GROUP_WORDS; word += LANES)
        this.#lanes[to + word + at] = this.#lanes[from + word + lane]!
    }
    return this.match(this.#scratch, hello)
  }

  #load(hello: SignedMessage): void {
    const { message } = hello
    this.#blocks = Math.ceil((message.length + PADDING_BYTES) / BLOCK_BYTES)
    const end = AT.message + this.#blocks * BLOCK_BYTES
    this.#bytes.set(message, AT.message)
    this.#bytes.fill(0, AT.message + message.length, end)
    this.#bytes[AT.message + message.length] = 0x80
    this.#words.setUint32(end - 4, (BLOCK_BYTES + message.length) * 8)
    this.#words.setInt32(AT.wanted, hello.firstWord, true)
    this.#exports.schedule(this.#blocks)
    this.#loaded = hello
  }

  #grow(): boolean {
    if (this.#bytes.length + PAGES_PER_STEP * PAGE_BYTES > this.#maxBytes) return false
    try {
      this.#memory.grow(PAGES_PER_STEP)
    } catch {
      return false
    }
    this.#bytes = new Uint8Array(this.#memory.buffer)
    this.#words = new DataView(this.#memory.buffer)
    this.#lanes = new Int32Array(this.#memory.buffer)
    return true
  }
}
