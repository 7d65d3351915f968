/**
 * The client's side of SOCKS5 (RFC 1928) with user name and password (RFC 1929): bytes in, bytes and results out.
 *
 *   greeting      05 | n | methods[n]                       →
 *                                                           ←  05 | method
 *   credentials   01 | ulen | user | plen | password        →
 *                                                           ←  01 | status
 *   request       05 | 01 connect | 00 | address            →
 *                                                           ←  05 | reply | 00 | address
 *   address       01 | IPv4[4] | port u16    04 | IPv6[16] | port u16    03 | len | name | port u16
 */
import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'

import type { Socks5Proxy } from '../config.ts'
import type { HostPort } from '../dc.ts'
import { BugError, type DialCode } from '../errors.ts'

const VERSION = 5
const CREDENTIALS_VERSION = 1
const CONNECT = 1
const NO_AUTHENTICATION = 0
const USER_AND_PASSWORD = 2
const NONE_ACCEPTABLE = 0xff
const IPV4 = 1
const NAME = 3
const IPV6 = 4
/** Version, reply, reserved, kind of address, and the byte behind, which is the length of a name. */
const REPLY_HEAD_BYTES = 5
const MAX_TEXT_BYTES = 255

/** RFC 1928 §6. Those with a code of their own speak of the target; with the others it is the server that cannot or will not. */
const REPLIES: Readonly<Record<number, { readonly code: DialCode; readonly reason: string }>> = {
  1: { code: 'upstream', reason: 'general failure' },
  2: { code: 'upstream', reason: 'not allowed by its rules' },
  3: { code: 'unreachable', reason: 'network unreachable' },
  4: { code: 'unreachable', reason: 'host unreachable' },
  5: { code: 'refused', reason: 'connection refused' },
  6: { code: 'unreachable', reason: 'time to live expired' },
  7: { code: 'upstream', reason: 'command not supported' },
  8: { code: 'unreachable', reason: 'kind of address not supported' },
}

export type Socks5Stage = 'greeting' | 'credentials' | 'request' | 'open' | 'failed'

export interface Socks5Failure {
  readonly code: DialCode
  /** Never with the credentials. */
  readonly reason: string
}

/** One negotiation. It keeps no more of what came than the answer it waits for, 262 bytes at most. */
export class Socks5Negotiation {
  readonly #target: HostPort
  readonly #username: string | null
  readonly #password: string
  #stage: Socks5Stage
  #received: Buffer
  #failure: Socks5Failure | null

  constructor(proxy: Pick<Socks5Proxy, 'username' | 'password'>, target: HostPort) {
    this.#target = target
    this.#username = proxy.username
    this.#password = proxy.password ?? ''
    this.#stage = 'greeting'
    this.#received = Buffer.alloc(0)
    this.#failure = null
  }

  get stage(): Socks5Stage {
    return this.#stage
  }

  /** Why the stage is 'failed'. */
  get failure(): Socks5Failure | null {
    return this.#failure
  }

  /** What goes to the server first. */
  start(): Buffer {
    const methods = this.#username === null ? [NO_AUTHENTICATION] : [NO_AUTHENTICATION, USER_AND_PASSWORD]
    return Buffer.of(VERSION, methods.length, ...methods)
  }

  /** Take what came from the server, which may overwrite it afterwards. Returns what goes there next; it may be empty. */
  push(chunk: Buffer): Buffer {
    this.#received = Buffer.concat([this.#received, chunk])
    const answers: Buffer[] = []
    for (let answer = this.#step(); answer !== null; answer = this.#step()) answers.push(answer)
    return answers.length === 1 ? answers[0]! : Buffer.concat(answers)
  }

  /** What came behind the last answer: the target's first bytes. */
  takeRest(): Buffer {
    if (this.#stage !== 'open') throw new BugError('the SOCKS5 negotiation is not over')
    const rest = this.#received
    this.#received = Buffer.alloc(0)
    return rest
  }

  /** Handle one answer of the server. Returns what goes there next, or null when there is nothing to handle. */
  #step(): Buffer | null {
    switch (this.#stage) {
      case 'greeting':
        return this.#readMethod()
      case 'credentials':
        return this.#readStatus()
      case 'request':
        return this.#readReply()
      case 'open':
      case 'failed':
        return null
    }
  }

  #readMethod(): Buffer | null {
    if (this.#received.length > 0 && this.#received[0] !== VERSION) return this.#fail('does not speak SOCKS5')
    if (this.#received.length < 2) return null
    const method = this.#received[1]
    this.#received = this.#received.subarray(2)
    if (method === NO_AUTHENTICATION) return this.#request()
    if (method === USER_AND_PASSWORD && this.#username !== null) {
      this.#stage = 'credentials'
      return buildCredentials(this.#username, this.#password)
    }
    if (method !== NONE_ACCEPTABLE) return this.#fail('chose a way of authentication that was not offered')
    return this.#fail(this.#username === null ? 'wants a user name and a password' : 'authentication refused')
  }

  #readStatus(): Buffer | null {
    if (this.#received.length > 0 && this.#received[0] !== CREDENTIALS_VERSION)
      return this.#fail('broke the protocol of authentication')
    if (this.#received.length < 2) return null
    const status = this.#received[1]
    this.#received = this.#received.subarray(2)
    return status === 0 ? this.#request() : this.#fail('authentication refused')
  }

  #request(): Buffer {
    this.#stage = 'request'
    return Buffer.concat([Buffer.of(VERSION, CONNECT, 0), buildAddress(this.#target)])
  }

  #readReply(): Buffer | null {
    const received = this.#received
    if (received.length > 0 && received[0] !== VERSION) return this.#fail('broke the protocol')
    if (received.length < 2) return null
    const reply = received[1] ?? 0
    // The reason is all there is to learn: some servers close without the address.
    if (reply !== 0) {
      const { code, reason } = REPLIES[reply] ?? { code: 'upstream', reason: `unknown reply ${reply}` }
      return this.#fail(reason, code)
    }
    if (received.length < REPLY_HEAD_BYTES) return null
    const addressBytes = measureAddress(received[3], received[4])
    if (addressBytes === null) return this.#fail('broke the protocol')
    const replyBytes = 3 + addressBytes
    if (received.length < replyBytes) return null
    this.#received = received.subarray(replyBytes)
    this.#stage = 'open'
    return null
  }

  #fail(reason: string, code: DialCode = 'upstream'): null {
    this.#stage = 'failed'
    this.#failure = { code, reason }
    this.#received = Buffer.alloc(0)
    return null
  }
}

function buildCredentials(username: string, password: string): Buffer {
  const [user, secret] = [Buffer.from(username), Buffer.from(password)]
  return Buffer.concat([Buffer.of(CREDENTIALS_VERSION, user.length), user, Buffer.of(secret.length), secret])
}

function buildAddress({ host, port }: HostPort): Buffer {
  const portBytes = Buffer.of(port >> 8, port & 0xff)
  if (isIPv4(host) || isIPv6(host)) {
    const [plain = host] = host.split('%')
    const bytes = ipaddr.parse(plain).toByteArray()
    return Buffer.concat([Buffer.of(isIPv4(host) ? IPV4 : IPV6, ...bytes), portBytes])
  }
  const name = Buffer.from(host)
  if (name.length === 0 || name.length > MAX_TEXT_BYTES)
    throw new BugError(`a name of ${name.length} bytes cannot be asked for`)
  return Buffer.concat([Buffer.of(NAME, name.length), name, portBytes])
}

/** Bytes of an address with its port, by its first two; null for a kind that does not exist. */
function measureAddress(kind: number | undefined, nameBytes: number | undefined): number | null {
  if (kind === IPV4) return 1 + 4 + 2
  if (kind === IPV6) return 1 + 16 + 2
  return kind === NAME ? 1 + 1 + (nameBytes ?? 0) + 2 : null
}
