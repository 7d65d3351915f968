import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { ClientHello } from '../support/client-hello.ts'
import { connectFakeTls, connectRaw, FakeTlsError, type FakeTlsClient } from '../support/faketls-client.ts'
import { encodeV2Ipv4 } from '../support/proxy-header.ts'
import { buildRequest, REQUEST_BYTES, type DataCentre, type Mode } from './data-centre.ts'
import { patiently } from './patiently.ts'
import type { Model } from './model.ts'
import { SITE_ANSWER } from './site.ts'

const SAMPLE_MS = 50
const MAX_MARKS = 60
/** Threads publish so often (decision O10); a timer that is due while the machine is busy comes later. */
const PUBLISH_MS = 250
const LATE_MS = 150
/** How long after the order to die a thread may still have moved bytes that are lost with it. */
const DYING_MS = 700

/** The longest part, that of a holder, takes 40 s. */
const HANG_MS = 90_000

interface Mark {
  readonly atMs: number
  /** Bytes that had arrived at the data centre, and at the client. */
  readonly up: number
  readonly down: number
}

const NO_MARK: Mark = { atMs: 0, up: 0, down: 0 }

/** One client's session, and what it knows of its bytes. */
export class Session {
  readonly id: number
  readonly user: string
  readonly tls: FakeTlsClient
  readonly marks: Mark[]
  sent: number
  #taken: number
  /** When the proxy's FIN or the end of the connection was seen, or Infinity. */
  endedMs: number

  constructor(id: number, user: string, tls: FakeTlsClient) {
    this.id = id
    this.user = user
    this.tls = tls
    this.marks = []
    this.sent = REQUEST_BYTES
    this.#taken = 0
    this.endedMs = Infinity
    const end = (): void => {
      this.endedMs = Math.min(this.endedMs, performance.now())
    }
    tls.ended.then(end, end)
  }

  get received(): number {
    return this.#taken + this.tls.bufferedBytes
  }

  write(bytes: Buffer): boolean {
    this.sent += bytes.length
    return this.tls.write(bytes)
  }

  async read(bytes: number): Promise<Buffer> {
    const read = await this.tls.read(bytes)
    this.#taken += bytes
    return read
  }

  markAt(atMs: number): Mark {
    return this.marks.findLast((mark) => mark.atMs <= atMs) ?? NO_MARK
  }
}

export interface OpenOptions {
  readonly bytes?: number
  readonly hello?: ClientHello
}

/** `clean`: every byte arrived. `broken`: somebody reset, or the connection was taken away: bytes within bounds. */
type Ending = 'clean' | 'broken'

interface Death {
  /** What was counted before had surely been published. */
  readonly sinceMs: number
  readonly fromMs: number
  toMs: number
}

/** Everybody who connects to the proxy, booked in the model. What nobody can explain is a problem. */
export class Clients {
  readonly problems: string[]
  readonly #port: number
  readonly #dc: DataCentre
  readonly #model: Model
  readonly #isBehindBalancer: boolean
  readonly #open: Set<Session>
  /** Those that have ended a moment ago. */
  #settled: Session[]
  /** Sessions whose bytes are still being counted. */
  #settling: number
  readonly #deaths: Death[]
  readonly #removedMs: Map<string, number>
  readonly #sampler: NodeJS.Timeout
  #secrets: Readonly<Record<string, string>>
  #sessions: number
  /** Clients without a session. */
  #others: number
  mayRefuse: boolean

  constructor(port: number, dc: DataCentre, model: Model, isBehindBalancer: boolean) {
    this.problems = []
    this.#port = port
    this.#dc = dc
    this.#model = model
    this.#isBehindBalancer = isBehindBalancer
    this.#open = new Set()
    this.#settled = []
    this.#settling = 0
    this.#deaths = []
    this.#removedMs = new Map()
    this.#sampler = setInterval(() => this.#sample(), SAMPLE_MS)
    this.#secrets = {}
    this.#sessions = 0
    this.#others = 0
    this.mayRefuse = false
  }

  get sessions(): number {
    return this.#sessions
  }

  get others(): number {
    return this.#others
  }

  get isSettled(): boolean {
    return this.#settling === 0
  }

  secretOf(user: string): string {
    return this.#secrets[user]!
  }

  setSecrets(secrets: Readonly<Record<string, string>>): void {
    this.#secrets = secrets
    for (const user of Object.keys(secrets)) this.#removedMs.delete(user)
  }

  /** They are about to be taken out: their connections may be cut from now on. */
  remove(user: string): void {
    this.#removedMs.set(user, performance.now())
  }

  /** Open sessions, by user. */
  countOpen(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { user } of this.#open) counts[user] = (counts[user] ?? 0) + 1
    return counts
  }

  /** Does something in a session of the user and books it. Nothing happens if the user is refused. */
  async use(
    user: string,
    mode: Mode,
    body: (session: Session) => Promise<Ending>,
    options: OpenOptions = {},
  ): Promise<void> {
    const session = await this.#connect(user, mode, options)
    if (session === null) return
    let ending: Ending = 'broken'
    const hang = this.#watch(session.tls.socket, `session ${session.id} of ${user}, mode ${mode}`)
    try {
      ending = await body(session)
    } catch (error) {
      if (!this.#isExcused(session)) this.#complain(`session ${session.id} of ${user}, mode ${mode}`, error)
    } finally {
      clearTimeout(hang)
      session.tls.destroy()
      await session.tls.closed
      await this.#settle(session, ending)
    }
  }

  /** The data centre has been reached. */
  async untilRelayed({ id, tls }: Session): Promise<void> {
    while (this.#dc.look(id).received === 0 && !tls.socket.destroyed && !tls.socket.readableEnded)
      await sleep(5)
  }

  /** A connection without a session. `body` says what it was by counting in the model. */
  async visit(what: string, source: string, body: (socket: Socket) => Promise<void>): Promise<void> {
    this.#others += 1
    const startedMs = performance.now()
    const socket = await connectRaw({
      port: this.#port,
      ...(this.#isBehindBalancer ? {} : { localAddress: source }),
    })
    socket.on('error', () => {})
    const hang = this.#watch(socket, what)
    try {
      if (this.#isBehindBalancer) socket.write(encodeV2Ipv4(source, 1234))
      await body(socket)
    } catch (error) {
      if (!this.#wasDeathSince(startedMs)) this.#complain(what, error)
    } finally {
      clearTimeout(hang)
      this.#others -= 1
      socket.destroy()
    }
  }

  /** Sends the bytes, and sees the fronting site. Throws if it does not. */
  async seeSite(socket: Socket, bytes: Buffer): Promise<void> {
    socket.write(bytes)
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (sum(chunks) === SITE_ANSWER.length) socket.end()
    })
    socket.once('end', () => socket.end())
    const inDeath = this.#isInDeath()
    await once(socket, 'close')
    if (inDeath || this.#isInDeath()) {
      this.#model.book('front up', 0, bytes.length)
      this.#model.book('front down', 0, SITE_ANSWER.length)
      this.#model.book('fronted', 0, 1)
    }
    if (!Buffer.concat(chunks).equals(SITE_ANSWER)) throw new Error(`the site said ${sum(chunks)} bytes`)
    if (inDeath || this.#isInDeath()) return
    this.#model.count('front up', bytes.length)
    this.#model.count('front down', SITE_ANSWER.length)
    this.#model.count('fronted')
  }

  /** A thread is told to die. @param loopDelayMs how late its timers have been */
  beginDeath(loopDelayMs: number): void {
    const nowMs = performance.now()
    const sinceMs = nowMs - PUBLISH_MS - LATE_MS - loopDelayMs
    this.#deaths.push({ sinceMs, fromMs: nowMs, toMs: Infinity })
    this.#model.threadDies(sinceMs)
    let up = 0
    let down = 0
    for (const session of this.#open) {
      const mark = session.markAt(sinceMs)
      up += session.sent - mark.up
      down += this.#dc.look(session.id).sent - mark.down
    }
    for (const session of this.#settled) {
      if (session.endedMs < sinceMs) continue
      const mark = session.markAt(sinceMs)
      this.#model.book(`up ${session.user}`, mark.up - session.sent, 0)
      this.#model.book(`down ${session.user}`, mark.down - session.received, 0)
      up += session.sent - mark.up
      down += session.received - mark.down
    }
    this.#model.book('traffic up', -up, 0)
    this.#model.book('traffic down', -down, 0)
  }

  /** Its successor serves. */
  endDeath(): void {
    this.#deaths.at(-1)!.toMs = performance.now()
    this.#model.threadLives()
  }

  /** Everybody who is still there leaves. */
  close(): void {
    clearInterval(this.#sampler)
    for (const session of this.#open) session.tls.destroy()
  }

  async #connect(user: string, mode: Mode, { bytes, hello }: OpenOptions): Promise<Session | null> {
    this.#sessions += 1
    const id = this.#sessions
    const startedMs = performance.now()
    const couldBeRefused = this.mayRefuse // the limit may be off by the time we hear of it
    try {
      const tls = await connectFakeTls({
        port: this.#port,
        secret: this.secretOf(user),
        dc: 2,
        firstPayload: buildRequest(id, mode, bytes),
        ...(this.#isBehindBalancer ? { preamble: encodeV2Ipv4('127.0.0.1', 1234) } : {}),
        ...(hello === undefined ? {} : { hello }),
      })
      const session = new Session(id, user, tls)
      this.#open.add(session)
      this.#model.count('ok')
      return session
    } catch (error) {
      if (this.#wasDeathSince(startedMs) || this.#removedMs.has(user)) {
        this.#model.book(`refused ${user}`, 0, 1)
        this.#model.book('refused', 0, 1)
      } else if (
        error instanceof FakeTlsError &&
        error.code === 'closed' &&
        (couldBeRefused || this.mayRefuse)
      ) {
        this.#model.book(`refused ${user}`, 1, 1)
        this.#model.count('refused')
      } else {
        this.#complain(`${user} cannot connect`, error)
      }
      return null
    }
  }

  async #settle(session: Session, ending: Ending): Promise<void> {
    session.endedMs = Math.min(session.endedMs, performance.now())
    this.#open.delete(session)
    this.#settling += 1
    const { user, sent, received } = session
    let [lowUp, lowDown, highDown] = [sent, received, received]
    if (ending === 'broken') {
      await sleep(500) // bytes on their way, and the data centre learns of the end
      await patiently(
        `the end of session ${session.id} at the data centre`,
        () => this.#dc.look(session.id).isClosed,
        Boolean,
      ).catch((error: unknown) => this.#complain(user, error))
      const far = this.#dc.look(session.id)
      lowUp = far.received
      highDown = Math.max(far.sent, received)
    }
    const death = this.#deaths.at(-1)
    if (death !== undefined && this.#mayHaveDied(session, ending, death)) {
      const mark = session.markAt(death.sinceMs)
      lowUp = Math.min(lowUp, mark.up)
      lowDown = Math.min(lowDown, mark.down)
    }
    this.#model.book(`up ${user}`, lowUp, sent)
    this.#model.book(`down ${user}`, lowDown, highDown)
    this.#model.book('traffic up', lowUp, sent)
    this.#model.book('traffic down', lowDown, highDown)
    this.#dc.forget(session.id)
    const nowMs = performance.now()
    this.#settled = this.#settled.filter(({ endedMs }) => nowMs - endedMs < 5000)
    this.#settled.push(session)
    this.#settling -= 1
  }

  /** It ended with the thread, or its last bytes may have been in the thread's hands. */
  #mayHaveDied({ endedMs }: Session, ending: Ending, { sinceMs, fromMs, toMs }: Death): boolean {
    return endedMs >= sinceMs && endedMs <= (ending === 'broken' ? toMs : fromMs + DYING_MS)
  }

  #sample(): void {
    const atMs = performance.now()
    for (const session of this.#open) {
      session.marks.push({ atMs, up: this.#dc.look(session.id).received, down: session.received })
      if (session.marks.length > MAX_MARKS) session.marks.shift()
    }
  }

  /** Nobody's part takes that long. */
  #watch(socket: Socket, what: string): NodeJS.Timeout {
    return setTimeout(() => {
      this.#complain(what, new Error(`hangs after ${HANG_MS} ms`))
      socket.destroy()
    }, HANG_MS)
  }

  #isExcused({ user, endedMs, tls }: Session): boolean {
    const lostMs = Math.min(endedMs, tls.socket.destroyed ? performance.now() : Infinity)
    const removedMs = this.#removedMs.get(user) ?? Infinity
    return removedMs <= lostMs || this.#deaths.some(({ fromMs, toMs }) => fromMs <= lostMs && lostMs <= toMs)
  }

  #isInDeath(): boolean {
    return this.#deaths.at(-1)?.toMs === Infinity
  }

  #wasDeathSince(ms: number): boolean {
    return (this.#deaths.at(-1)?.toMs ?? -Infinity) >= ms
  }

  #complain(what: string, error: unknown): void {
    this.problems.push(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  }
}

const sum = (chunks: readonly Buffer[]): number => chunks.reduce((bytes, chunk) => bytes + chunk.length, 0)

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
