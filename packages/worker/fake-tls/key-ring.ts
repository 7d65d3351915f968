import { BugError, type HandshakeCode } from '#shared/errors'
import type { UserEntry } from '#shared/worker-control'
import type { KeySearch } from '../key-search/key-search.ts'
import { HelloDigest } from './authenticate.ts'
import { normalizeHost, type ClientHello } from './client-hello.ts'
import { HostKeys, type UserKey } from './host-keys.ts'
import type { SearchQueue } from './search-queue.ts'

/** What a search takes of a round of the event loop: connections that are served wait for it. */
export const SLICE_MS = 0.4
/** What it does before it looks whether that is over: 10 to 30 µs for a usual hello, 0.2 ms for one of 16 KiB. */
export const KEYS_PER_LOOK = 16
/** Work that is not worth waiting for a turn: with four keys at once, 40 likely ones or a host of 160. */
const AT_ONCE_MS = 0.1
/** Where keys are tried one by one that would be too few. */
export const LEAST_AT_ONCE = 16

export type KeySearchResult =
  | { ok: true; userKey: UserKey }
  | { ok: false; code: HandshakeCode; /** Where such a peer is fronted to. */ host: string }

export interface SearchClock {
  readonly nowMs: number
  readonly toleranceMs: number
  /** Hellos from before this Unix time in seconds are refused, or null for no such limit (decision W3). */
  readonly notBeforeSeconds: number | null
}

/** For whom a key is looked up. */
export interface SearchPeer {
  /** Ledger slots of users seen lately on its network, the last one first. */
  readonly userHints: readonly number[]
  /** What searches take turns by: see `toSource`. */
  readonly source: string
}

/** Why a search is not worth going on with, or null while it is. Asked before each slice. */
export type GiveUp = () => HandshakeCode | null

export interface KeyRingOptions {
  readonly queue: SearchQueue
  readonly search: KeySearch
  /** For the length of slices. */
  readonly monotonicMs?: () => number
}

interface Host {
  /** As the first user of it has it written. */
  readonly name: string
  readonly keys: HostKeys
}

/** All users' keys by host, and the search for the one that signed a ClientHello. */
export class KeyRing {
  readonly #queue: SearchQueue
  readonly #search: KeySearch
  readonly #monotonicMs: () => number
  #hosts: ReadonlyMap<string, Host>
  #defaultHost: string

  /** @param users sorted by name; the first one's host takes peers whose own is not known */
  constructor(users: readonly UserEntry[], { queue, search, monotonicMs }: KeyRingOptions) {
    this.#queue = queue
    this.#search = search
    this.#monotonicMs = monotonicMs ?? (() => performance.now())
    this.#hosts = new Map()
    this.#defaultHost = ''
    this.setUsers(users)
  }

  /** Searches that are under way go on among the new users' keys. */
  setUsers(users: readonly UserEntry[]): void {
    const first = users[0]?.secrets[0]
    if (first === undefined) throw new BugError('a key ring needs at least one user with a secret')
    const keysByHost = groupByHost(users)
    const before = this.#hosts
    this.#hosts = new Map(
      [...keysByHost].map(([name, userKeys]): [string, Host] => {
        const keys = before.get(name)?.keys ?? new HostKeys(this.#search)
        keys.replace(userKeys)
        return [name, { name: userKeys[0]!.host, keys }]
      }),
    )
    for (const [name, { keys }] of before) if (!keysByHost.has(name)) keys.replace([])
    this.#defaultHost = first.host
  }

  /** Where a peer goes that showed no host of ours: the first user's host. */
  get defaultHost(): string {
    return this.#defaultHost
  }

  /** The host of ours that the hello names, else the first user's. */
  hostOf(hello: ClientHello): string {
    return this.#matchHost(hello)?.name ?? this.#defaultHost
  }

  /**
   * Find who signed the hello: users who were seen on this network, then the keys used last, then every key of the host,
   * in slices so that a long list does not hold up the thread's connections.
   */
  async search(
    hello: ClientHello,
    peer: SearchPeer,
    clock: SearchClock,
    giveUp: GiveUp = () => null,
  ): Promise<KeySearchResult> {
    const host = this.#matchHost(hello)
    if (host === null) {
      const code = hello.serverNames.length === 0 ? 'sni-missing' : 'sni-unknown'
      return { ok: false, code, host: this.#defaultHost }
    }
    const digest = new HelloDigest(hello)
    const found = await this.#findKey(host.keys, digest, peer, giveUp)
    if (typeof found === 'string') return { ok: false, code: found, host: host.name }
    const code = judgeTime(digest.unixSeconds, clock)
    if (code !== null) return { ok: false, code, host: host.name }
    host.keys.remember(found)
    return { ok: true, userKey: found }
  }

  /** @returns the key, or why there is none */
  async #findKey(
    keys: HostKeys,
    digest: HelloDigest,
    { userHints, source }: SearchPeer,
    giveUp: GiveUp,
  ): Promise<UserKey | HandshakeCode> {
    const keyMs = this.#search.estimateMs(digest)
    const atOnce = Math.max(LEAST_AT_ONCE, Math.floor(AT_ONCE_MS / keyMs))
    const likely = keys.set.findAmong(digest, keys.findLikely(userHints, atOnce))
    if (likely >= 0) return keys.at(likely)

    const attempt = new Attempt(keys, digest, this.#monotonicMs)
    if (keys.count <= atOnce || this.#queue.takeFreeSlice()) attempt.trySlice()
    if (attempt.result !== null) return attempt.result
    const queued = this.#queue.join(source, attempt.keysLeft * keyMs)
    if (queued === null) return 'busy'
    try {
      while (attempt.result === null) {
        await queued.turn()
        const code = giveUp()
        if (code !== null) return code
        attempt.trySlice()
      }
      return attempt.result
    } finally {
      queued.leave()
    }
  }

  #matchHost(hello: ClientHello): Host | null {
    for (const name of hello.serverNames) {
      const host = this.#hosts.get(name)
      if (host !== undefined) return host
    }
    return null
  }
}

/** One hello against all keys of a host. */
class Attempt {
  result: UserKey | HandshakeCode | null
  readonly #keys: HostKeys
  readonly #digest: HelloDigest
  readonly #monotonicMs: () => number
  #next: number
  #version: number

  constructor(keys: HostKeys, digest: HelloDigest, monotonicMs: () => number) {
    this.result = null
    this.#keys = keys
    this.#digest = digest
    this.#monotonicMs = monotonicMs
    this.#next = 0
    this.#version = keys.version
  }

  get keysLeft(): number {
    return this.#keys.count - this.#next
  }

  /** By time and not by keys: hellos have a length, machines a speed, and code is slow until it is compiled. */
  trySlice(): void {
    if (this.#version !== this.#keys.version) {
      // A reload has given keys other places: what was tried may now stand further on, and the other way round.
      this.#version = this.#keys.version
      this.#next = 0
    }
    const untilMs = this.#monotonicMs() + SLICE_MS
    do {
      const from = this.#next
      this.#next = from + KEYS_PER_LOOK
      const at = this.#keys.set.find(this.#digest, from, this.#next)
      if (at >= 0) this.result = this.#keys.at(at)
      else if (this.keysLeft <= 0) this.result = 'digest'
    } while (this.result === null && this.#monotonicMs() < untilMs)
  }
}

/** @param unixSeconds of the hello, which is signed */
function judgeTime(unixSeconds: number | null, clock: SearchClock): HandshakeCode | null {
  const { nowMs, toleranceMs, notBeforeSeconds } = clock
  if (unixSeconds === null) throw new BugError('the key that was found did not sign the hello')
  if (Math.abs(nowMs - unixSeconds * 1000) > toleranceMs) return 'stale-time'
  return notBeforeSeconds !== null && unixSeconds < notBeforeSeconds ? 'before-start' : null
}

function groupByHost(users: readonly UserEntry[]): Map<string, UserKey[]> {
  const keysByHost = new Map<string, UserKey[]>()
  for (const user of users) {
    for (const { key, host } of user.secrets) {
      const name = normalizeHost(host)
      const keys = keysByHost.get(name)
      if (keys === undefined) keysByHost.set(name, [{ user, key, host }])
      else keys.push({ user, key, host })
    }
  }
  return keysByHost
}
