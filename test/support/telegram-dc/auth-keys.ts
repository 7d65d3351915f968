import { createHash, randomBytes } from 'node:crypto'

export interface Session {
  /** Messages seen, for msgs_state_req and against repeats. */
  readonly receivedIds: Set<bigint>
  /** Whether initConnection came: without it a real data centre refuses calls. */
  initialised: boolean
  /** Content-related messages sent so far. */
  sentCount: number
}

/** An authorisation key as the data centre keeps it. */
export interface AuthKey {
  /** 256 bytes. */
  readonly key: Buffer
  /** Lower 64 bits of the key's SHA-1. */
  readonly id: bigint
  /** For perfect forward secrecy: useless until it is bound to a permanent key. */
  readonly temporary: boolean
  bound: boolean
  /** What clients are told to use. */
  readonly salt: bigint
  /** Every salt ever handed out for this key. */
  readonly salts: Set<bigint>
  readonly sessions: Map<bigint, Session>
}

/** The keys that one data centre knows; its media connections use the same ones. */
export type AuthKeys = Map<bigint, AuthKey>

export function buildAuthKey(key: Buffer, salt: bigint, temporary: boolean): AuthKey {
  return {
    key,
    id: createHash('sha1').update(key).digest().readBigInt64LE(12),
    temporary,
    bound: false,
    salt,
    salts: new Set([salt]),
    sessions: new Map(),
  }
}

/** A salt for later, accepted from now on: how long one lives is not what this data centre is for. */
export function issueSalt(authKey: AuthKey): bigint {
  const salt = randomBytes(8).readBigInt64LE()
  authKey.salts.add(salt)
  return salt
}
