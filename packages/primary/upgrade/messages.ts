/**
 * What a process and its successor tell each other (decision O6), over the channel between parent and child:
 *
 *   successor                                       running process
 *                                <-  environment:    descriptors, what the replay set covers, which state file
 *   standing                     ->                  configuration valid, threads up, lists loaded
 *                                <-  hellos … accept what the replay set holds
 *   serving                      ->                  stops accepting, writes the state file and lets go of it
 *                                <-  released
 *   settled                      ->                  drains, ends
 *
 * and `hellos` in both directions from there on, while both live. The two may be of different versions of the program.
 */
import type { HostPort } from '#shared/dc'
import { OperatorError } from '#shared/errors'

/** Changes when a successor of another version could not understand what it is given. */
const VERSION = 1
const VARIABLE = 'MTG_MULTI_SUCCEEDS'

export const SOCKET_USES = ['clients', 'api', 'metrics'] as const
export type SocketUse = (typeof SOCKET_USES)[number]

/** A listening socket that goes on. A UNIX socket has its path as host, and port 0. */
export interface HandedSocket {
  readonly use: SocketUse
  readonly fd: number
  readonly address: HostPort
}

/** What the replay set that is handed over covers. */
export interface ReplayCover {
  /** Unix time from which on every hello is in it. */
  readonly sinceMs: number
  /** For how long each entry is kept. */
  readonly lifeMs: number
}

export interface Inheritance {
  readonly sockets: readonly HandedSocket[]
  /** null: there is no set. */
  readonly replay: ReplayCover | null
  /** Absolute path of the file that the running process owns, or null. */
  readonly stateFile: string | null
}

export type UpgradeMessage =
  | { readonly type: 'standing' | 'accept' | 'serving' | 'released' | 'settled' }
  | { readonly type: 'hellos'; readonly entries: Uint8Array }

/** The environment of a successor. */
export function announce(inheritance: Inheritance): NodeJS.ProcessEnv {
  return { [VARIABLE]: JSON.stringify({ version: VERSION, ...inheritance }) }
}

/**
 * Takes it out of the environment, so that no program started from here believes it to be its own. null: this process
 * succeeds nobody.
 * @throws OperatorError for what no program of this version has written
 */
export function takeInheritance(env: NodeJS.ProcessEnv): Inheritance | null {
  const text = env[VARIABLE]
  delete env[VARIABLE]
  if (text === undefined) return null
  const value = parse(text)
  if (value['version'] !== VERSION)
    throw new OperatorError('the running process is of a version that this one cannot succeed: restart it')
  const { sockets, replay, stateFile } = value
  if (!Array.isArray(sockets) || !sockets.every(isHandedSocket)) throw notOurs()
  if (replay !== null && !isReplayCover(replay)) throw notOurs()
  if (stateFile !== null && typeof stateFile !== 'string') throw notOurs()
  return { sockets, replay, stateFile }
}

/** null for anything that is none; messages of later versions may be. */
export function readMessage(message: unknown): UpgradeMessage | null {
  if (typeof message !== 'object' || message === null || !('type' in message)) return null
  switch (message.type) {
    case 'standing':
    case 'accept':
    case 'serving':
    case 'released':
    case 'settled':
      return { type: message.type }
    case 'hellos':
      return 'entries' in message && message.entries instanceof Uint8Array
        ? { type: 'hellos', entries: message.entries }
        : null
    default:
      return null
  }
}

function parse(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw notOurs({ cause })
  }
  if (!isObject(value) || !('version' in value)) throw notOurs()
  return value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function isHandedSocket(value: unknown): value is HandedSocket {
  if (!isObject(value) || !isObject(value['address'])) return false
  const { use, fd, address } = value
  return (
    SOCKET_USES.some((known) => known === use) &&
    Number.isInteger(fd) &&
    Number(fd) >= 0 &&
    typeof address['host'] === 'string' &&
    Number.isInteger(address['port'])
  )
}

function isReplayCover(value: unknown): value is ReplayCover {
  return isObject(value) && Number.isFinite(value['sinceMs']) && Number.isFinite(value['lifeMs'])
}

function notOurs(options?: ErrorOptions): OperatorError {
  return new OperatorError(`${VARIABLE} is set, but not by a running mtg-multi: unset it`, options)
}
