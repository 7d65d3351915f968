import { BugError, type HandshakeCode } from '#shared/errors'
import type { UserEntry } from '#shared/worker-control'
import { HelloDigest } from './authenticate.ts'
import { normalizeHost, type ClientHello } from './client-hello.ts'
import type { SearchQueue } from './search-queue.ts'

/** Keys tried before the thread turns to its connections again: about one millisecond of hashing. */
export const KEYS_PER_SLICE = 128
/** Keys used last on a host that are tried before the full list. */
export const RECENT_KEYS = 16

/** One key of one user, bound to its host (decision W1). */
export interface UserKey {
  readonly user: UserEntry
  readonly key: Uint8Array
  /** As the operator wrote it: what a fronting dial resolves. */
  readonly host: string
}

export type KeySearchResult =
  | { ok: true; userKey: UserKey }
  | { ok: false; code: HandshakeCode; /** Where such a peer is fronted to. */ host: string }

interface HostKeys {
  readonly host: string
  readonly keys: readonly UserKey[]
  readonly byUserSlot: ReadonlyMap<number, readonly UserKey[]>
  /** Most recently used first, at most RECENT_KEYS. */
  readonly recent: UserKey[]
}

export interface SearchClock {
  readonly nowMs: number
  readonly toleranceMs: number
  /** Hellos from before this Unix time in seconds are refused, or null for no such limit (decision W3). */
  readonly notBeforeSeconds: number | null
}

/** For whom a key is looked up. */
export interface SearchPeer {
  /** Ledger slot of the user seen last from its network, or -1. */
  readonly userHint: number
  /** What searches take turns by: see `toSource`. */
  readonly source: string
}

/** Why a search is not worth going on with, or null while it is. Asked before each slice. */
export type GiveUp = () => HandshakeCode | null

/** All users' keys by host, and the search for the one that signed a ClientHello. */
export class KeyRing {
  readonly #hosts: ReadonlyMap<string, HostKeys>
  readonly #defaultHost: string
  readonly #queue: SearchQueue

  /** @param users sorted by name; the first one's host takes peers whose own is not known */
  constructor(users: readonly UserEntry[], queue: SearchQueue) {
    this.#queue = queue
    const keysByHost = new Map<string, UserKey[]>()
    for (const user of users) {
      for (const { key, host } of user.secrets) {
        const name = normalizeHost(host)
        const keys = keysByHost.get(name)
        if (keys === undefined) keysByHost.set(name, [{ user, key, host }])
        else keys.push({ user, key, host })
      }
    }
    this.#hosts = new Map(
      [...keysByHost].map(([name, keys]) => [
        name,
        { host: keys[0]!.host, keys, byUserSlot: Map.groupBy(keys, (key) => key.user.slot), recent: [] },
      ]),
    )
    const first = users[0]?.secrets[0]
    if (first === undefined) throw new BugError('a key ring needs at least one user with a secret')
    this.#defaultHost = first.host
  }

  /** Where a peer goes that showed no host of ours: the first user's host. */
  get defaultHost(): string {
    return this.#defaultHost
  }

  /** The host of ours that the hello names, else the first user's. */
  hostOf(hello: ClientHello): string {
    return this.#matchHost(hello)?.host ?? this.#defaultHost
  }

  /**
   * Find who signed the hello: the user who was seen last from this network, then the keys used last, then every key of
   * the host, in slices so that a long list does not hold up the thread's connections.
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
    const attempt = new Attempt(hello, clock)
    const likely = host.byUserSlot.get(peer.userHint) ?? []
    let found = attempt.tryKeys(likely, 0, KEYS_PER_SLICE)
    found ??= attempt.tryKeys(host.recent, 0, host.recent.length)
    if (found === null) {
      const searched = await this.#searchAll(host.keys, attempt, peer, giveUp)
      if (typeof searched === 'string') return { ok: false, code: searched, host: host.host }
      found = searched
    }
    remember(host.recent, found)
    return { ok: true, userKey: found }
  }

  /** @returns the key, or why there is none */
  async #searchAll(
    keys: readonly UserKey[],
    attempt: Attempt,
    { source }: SearchPeer,
    giveUp: GiveUp,
  ): Promise<UserKey | HandshakeCode> {
    let from = 0
    if (keys.length <= RECENT_KEYS || this.#queue.takeFreeSlice()) {
      const found = attempt.tryKeys(keys, 0, KEYS_PER_SLICE)
      if (found !== null) return found
      from = KEYS_PER_SLICE
    }
    if (from >= keys.length) return attempt.failure
    const queued = this.#queue.join(source, keys.length - from)
    if (queued === null) return 'busy'
    try {
      for (; from < keys.length; from += KEYS_PER_SLICE) {
        await queued.turn()
        const code = giveUp()
        if (code !== null) return code
        const found = attempt.tryKeys(keys, from, from + KEYS_PER_SLICE)
        if (found !== null) return found
      }
    } finally {
      queued.leave()
    }
    return attempt.failure
  }

  #matchHost(hello: ClientHello): HostKeys | null {
    for (const name of hello.serverNames) {
      const host = this.#hosts.get(name)
      if (host !== undefined) return host
    }
    return null
  }
}

/** One hello against keys; remembers the best reason why none fitted. */
class Attempt {
  failure: HandshakeCode
  readonly #digest: HelloDigest
  readonly #clock: SearchClock

  constructor(hello: ClientHello, clock: SearchClock) {
    this.failure = 'digest'
    this.#digest = new HelloDigest(hello)
    this.#clock = clock
  }

  tryKeys(keys: readonly UserKey[], from: number, to: number): UserKey | null {
    const end = Math.min(to, keys.length)
    for (let i = from; i < end; i++) {
      const userKey = keys[i]!
      const unixSeconds = this.#digest.verify(userKey.key)
      if (unixSeconds === null) continue
      const { nowMs, toleranceMs, notBeforeSeconds } = this.#clock
      if (Math.abs(nowMs - unixSeconds * 1000) > toleranceMs) this.failure = 'stale-time'
      else if (notBeforeSeconds !== null && unixSeconds < notBeforeSeconds) this.failure = 'before-start'
      else return userKey
    }
    return null
  }
}

function remember(recent: UserKey[], used: UserKey): void {
  const at = recent.indexOf(used)
  if (at === 0) return
  if (at > 0) recent.splice(at, 1)
  recent.unshift(used)
  if (recent.length > RECENT_KEYS) recent.pop()
}
