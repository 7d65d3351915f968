import { DialError } from '#shared/errors'
import type { Dialled } from '#shared/dial/dial'
import type { Connection } from '../connection.ts'
import { buildProxyHeader } from '../proxy-protocol.ts'
import type { ByteSocket } from '../socket/byte-socket.ts'
import { dialFront } from './dial-front.ts'

/**
 * One peer's connection to the fronting site. It may be opened before we know what the peer is: a hello that does not
 * become complete is shown to the site as it comes, so that the site's own limits run and its own answer to half a
 * hello is what the peer sees.
 */
export class SiteVisit {
  readonly host: string
  /** The site, or DialError as `dialFront`. */
  readonly #dialled: Promise<ByteSocket>
  readonly #connection: Connection
  #site: ByteSocket | null
  /** How much of what the client has said was passed on. */
  #saidBytes: number
  #heard: Buffer | null
  /** A relay has it, or will: nobody listens for an early answer any more. */
  #isTaken: boolean
  #isOver: boolean

  private constructor(connection: Connection, host: string) {
    const { thread, config } = connection
    this.host = host
    this.#connection = connection
    this.#site = null
    this.#saidBytes = 0
    this.#heard = null
    this.#isTaken = false
    this.#isOver = false
    const signal = connection.dialSignal()
    const { port } = config.domainFronting
    const dialling = thread.arrivals.rounds
      .turn()
      .then(() => dialFront(host, port, thread.dialers.front, signal))
    this.#dialled = dialling.then((dialled) => this.#arrive(dialled))
    this.#dialled.catch(() => {}) // early, there may be nobody yet who wants to know
  }

  /** Dial the site for this peer, within the limit on fronted connections; null above it. */
  static begin(connection: Connection, host: string): SiteVisit | null {
    if (!connection.thread.admitFronting()) return null
    const visit = new SiteVisit(connection, host)
    connection.holdings.borrow(() => visit.end())
    return visit
  }

  /** Call back once when the site says something or ends, before a relay has begun. */
  async listen(onAnswer: () => void): Promise<void> {
    const site = await this.#dialled.catch(() => null) // whoever is fronted later gets to know
    if (site === null || this.#isTaken) return
    site.setSink({
      bytes: (chunk) => {
        this.#heard = this.#heard === null ? Buffer.from(chunk) : Buffer.concat([this.#heard, chunk])
        site.pause() // the rest waits for the relay
        onAnswer()
      },
      drained: () => {},
      ended: onAnswer,
      closed: onAnswer,
    })
    site.resume()
  }

  /**
   * The site, for the relay that begins as soon as it is there.
   * @throws DialError as `dialFront`
   */
  take(): Promise<ByteSocket> {
    this.#isTaken = true
    return this.#dialled
  }

  /** Pass on what is new. Before the site is there nothing happens. @param received everything the client has sent */
  say(received: Buffer): void {
    if (this.#site === null || this.#saidBytes === received.length) return
    // A copy: the reader that these bytes are kept in moves them when more come.
    this.#site.writeCopy(received.subarray(this.#saidBytes))
    this.#saidBytes = received.length
  }

  /** What the site said before the relay, for the client. */
  takeHeard(): Buffer | null {
    const heard = this.#heard
    this.#heard = null
    return heard
  }

  /** The peer is a user of ours, or gone: give the place back. Calling it twice is fine. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#connection.thread.leaveFronting()
    this.#site?.destroy()
    this.#site = null
  }

  #arrive({ connection: site, address }: Dialled<ByteSocket>): ByteSocket {
    if (this.#isOver) {
      site.destroy()
      throw new DialError('aborted', 'the client left before its site was there')
    }
    this.#site = site
    const { peer, config } = this.#connection
    // At once, also for a client that is silent: the site then waits for a hello as long as it does for any visitor,
    // and not for a header as short as it may. The header is nobody's traffic.
    if (config.domainFronting.proxyProtocol)
      site.write(buildProxyHeader({ host: peer.address, port: peer.port }, address))
    return site
  }
}
