import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { buildClientHello } from '../support/client-hello.ts'
import { parseClientSecret } from '../support/faketls-client.ts'
import { patternSlice } from '../support/stream-dc.ts'
import { sleep, type Clients, type Session } from './clients.ts'
import { IDLE_MS } from './config-file.ts'
import { Mode } from './data-centre.ts'
import type { Model } from './model.ts'

/** What an act needs. */
export interface Stage {
  readonly clients: Clients
  readonly model: Model
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Somebody who is in the configuration. */
  readonly pickUser: () => string
  /** Somebody whose bytes are known within bounds only, since nobody can tell what a reset has left in the kernel. */
  readonly pickRoughUser: () => string
  /** An address that the blocklist has now and will have in the next seconds. */
  readonly blockedAddress: string
  /** The soak ends: whoever stays for long leaves. */
  readonly isOver: () => boolean
}

export type Act = (stage: Stage) => Promise<void>

const KIB = 1024
const REPLY_LIMIT_MS = 5000
const between = ({ random }: Stage, low: number, high: number): number =>
  Math.floor(low + random() * (high - low))

function check(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Error(what)
}

async function readPattern(session: Session, bytes: number): Promise<void> {
  for (let done = 0; done < bytes;) {
    const part = Math.min(64 * KIB, bytes - done)
    check((await session.read(part)).equals(patternSlice(done, part)), `other bytes than sent at ${done}`)
    done += part
  }
}

async function ping(session: Session, bytes: number): Promise<void> {
  const message = randomBytes(bytes)
  session.write(message)
  check(message.equals(await session.read(bytes)), 'the echo differs')
}

/** Our FIN, then the data centre's. */
async function partInOrder(session: Session): Promise<'clean'> {
  session.tls.end()
  await session.tls.ended
  return 'clean'
}

const download: Act = async (stage) => {
  const bytes = between(stage, 1 * KIB, 512 * KIB)
  await stage.clients.use(
    stage.pickUser(),
    Mode.source,
    async (session) => {
      await readPattern(session, bytes)
      return partInOrder(session)
    },
    { bytes },
  )
}

/** The client does not read for a while: the data centre has to wait. */
const slowDownload: Act = async (stage) => {
  const bytes = 1024 * KIB
  await stage.clients.use(
    stage.pickUser(),
    Mode.source,
    async (session) => {
      await readPattern(session, 64 * KIB)
      session.tls.socket.pause()
      await sleep(between(stage, 300, 900))
      session.tls.socket.resume()
      await readPattern2(session, 64 * KIB, bytes)
      return partInOrder(session)
    },
    { bytes },
  )
}

async function readPattern2(session: Session, from: number, to: number): Promise<void> {
  const rest = await session.read(to - from)
  check(rest.equals(patternSlice(from, to - from)), 'other bytes than sent')
}

const upload: Act = async (stage) => {
  await stage.clients.use(stage.pickUser(), Mode.sink, async (session) => {
    const bytes = between(stage, 1 * KIB, 512 * KIB)
    for (let done = 0; done < bytes;) {
      const part = Math.min(32 * KIB, bytes - done)
      done += part
      if (!session.write(patternSlice(done, part)))
        await Promise.race([once(session.tls.socket, 'drain'), session.tls.closed])
    }
    // A client that ends while its data centre is still dialled counts as one that has left.
    await stage.clients.untilRelayed(session)
    session.tls.end() // half-closed: the count comes back on the other half
    check(
      Number((await session.read(8)).readBigUInt64LE()) === bytes,
      'the data centre got another number of bytes',
    )
    await session.tls.ended
    return 'clean'
  })
}

const pingPong: Act = async (stage) => {
  await stage.clients.use(stage.pickUser(), Mode.echo, async (session) => {
    for (let rounds = between(stage, 3, 20); rounds > 0; rounds--) {
      await ping(session, between(stage, 20, 4000))
      await sleep(between(stage, 5, 80))
    }
    return partInOrder(session)
  })
}

/** The data centre ends first, and the client talks on before it ends too. */
const halfClosedByDc: Act = async (stage) => {
  const bytes = between(stage, 1, 100 * KIB)
  await stage.clients.use(
    stage.pickUser(),
    Mode.sourceThenEnd,
    async (session) => {
      await readPattern(session, bytes)
      await session.tls.ended
      session.write(randomBytes(between(stage, 1, 5000)))
      session.tls.end()
      await session.tls.closed
      return 'clean'
    },
    { bytes },
  )
}

/** The client ends at once and reads what was asked for on the other half. */
const halfClosedByClient: Act = async (stage) => {
  const bytes = between(stage, 1, 100 * KIB)
  await stage.clients.use(
    stage.pickUser(),
    Mode.source,
    async (session) => {
      await session.read(1)
      session.tls.end()
      check((await session.read(bytes - 1)).equals(patternSlice(1, bytes - 1)), 'other bytes than sent')
      await session.tls.ended
      return 'clean'
    },
    { bytes },
  )
}

const resetMidway: Act = async (stage) => {
  await stage.clients.use(
    stage.pickRoughUser(),
    Mode.source,
    async (session) => {
      await session.read(between(stage, 1, 32 * KIB))
      session.tls.socket.resetAndDestroy()
      return 'broken'
    },
    { bytes: 256 * KIB },
  )
}

/** Bytes that are no records, in the middle of a session. */
const turnToGarbage: Act = async (stage) => {
  await stage.clients.use(stage.pickRoughUser(), Mode.echo, async (session) => {
    await ping(session, 100)
    session.tls.socket.write(Buffer.alloc(300, 0x99))
    await session.tls.ended.catch(() => {}) // or a reset, for what it had not read
    return 'broken'
  })
}

/** Leaves in the middle of the handshake. */
const vanish: Act = async (stage) => {
  const user = stage.pickUser()
  const { key, host } = parseClientSecret(stage.clients.secretOf(user))
  await stage.clients.visit('vanish', '127.0.0.1', async (socket) => {
    socket.write(buildClientHello({ key, host }).bytes)
    if (stage.random() < 0.5) await Promise.race([once(socket, 'data'), once(socket, 'end')])
    socket.resetAndDestroy()
    for (const outcome of ['peer-closed', 'refused', `refused ${user}`]) stage.model.book(outcome, 0, 1)
  })
}

const stranger: Act = async (stage) => {
  await stage.clients.visit('stranger', '127.0.0.1', async (socket) => {
    await stage.clients.seeSite(socket, Buffer.from('GET / HTTP/1.1\r\nhost: example.com\r\n\r\n'))
    stage.model.count('record-type')
  })
}

const forger: Act = async (stage) => {
  const { host } = parseClientSecret(stage.clients.secretOf('anna'))
  await stage.clients.visit('forger', '127.0.0.1', async (socket) => {
    await stage.clients.seeSite(socket, buildClientHello({ key: randomBytes(16), host }).bytes)
    stage.model.count('digest')
  })
}

const garbage: Act = async (stage) => {
  await stage.clients.visit('garbage', '127.0.0.1', async (socket) => {
    const bytes = randomBytes(between(stage, 50, 3000))
    bytes[0] = 0 // no record of TLS begins so
    await stage.clients.seeSite(socket, bytes)
    stage.model.count('record-type')
  })
}

const silentLeaver: Act = async (stage) => {
  await stage.clients.visit('silent leaver', '127.0.0.1', async (socket) => {
    await sleep(between(stage, 0, 300))
    socket.end()
    socket.resume()
    await once(socket, 'close')
    stage.model.count('peer-closed')
  })
}

const replayer: Act = async (stage) => {
  const user = 'anna'
  const hello = buildClientHello(parseClientSecret(stage.clients.secretOf(user)))
  let wasServed = false
  await stage.clients.use(
    user,
    Mode.echo,
    async (session) => {
      await ping(session, 10)
      wasServed = true
      return partInOrder(session)
    },
    { hello },
  )
  if (!wasServed) return
  await stage.clients.visit('replayer', '127.0.0.1', async (socket) => {
    await stage.clients.seeSite(socket, hello.bytes)
    stage.model.count('replay')
  })
}

const blocked: Act = async (stage) => {
  await stage.clients.visit('blocked', stage.blockedAddress, async (socket) => {
    socket.resume()
    const signal = AbortSignal.timeout(REPLY_LIMIT_MS)
    await Promise.race([once(socket, 'end', { signal }), once(socket, 'close', { signal })])
    check(socket.bytesRead === 0, 'a blocked address got an answer')
    stage.model.count('blocked')
  })
}

/** Says something, then nothing, until the proxy has enough of it. */
export const sleeper: Act = async (stage) => {
  await stage.clients.use(stage.pickUser(), Mode.echo, async (session) => {
    await ping(session, 30)
    const fromMs = performance.now()
    await session.tls.ended
    check(performance.now() - fromMs > IDLE_MS - 1000, 'closed before the idle limit')
    return 'clean'
  })
}

/** A phone that is there for a while. */
export const holder: Act = async (stage) => {
  await stage.clients.use(stage.pickUser(), Mode.echo, async (session) => {
    const untilMs = performance.now() + between(stage, 8000, 40_000)
    while (performance.now() < untilMs && !stage.isOver()) {
      await ping(session, between(stage, 20, 500))
      await sleep(between(stage, 500, 4000))
    }
    return partInOrder(session)
  })
}

/** Talks until the connection is taken away. */
export const talker: Act = async (stage) => {
  await stage.clients.use(stage.pickUser(), Mode.echo, async (session) => {
    while (!stage.isOver()) {
      await ping(session, between(stage, 20, 500))
      await sleep(10)
    }
    return partInOrder(session)
  })
}

/** Everybody of one user at once: more than a fair share. */
export const crowd: Act = async (stage) => {
  const one = (): Promise<void> =>
    stage.clients.use('greedy', Mode.echo, async (session) => {
      await ping(session, 50)
      await sleep(1500)
      await ping(session, 50)
      return partInOrder(session)
    })
  await Promise.all(Array.from({ length: 40 }, one))
}

/** How often each is drawn, compared to the others. */
export const ACTS: readonly (readonly [weight: number, act: Act])[] = [
  [12, download],
  [3, slowDownload],
  [10, upload],
  [20, pingPong],
  [6, halfClosedByDc],
  [6, halfClosedByClient],
  [8, resetMidway],
  [3, turnToGarbage],
  [5, vanish],
  [6, stranger],
  [4, forger],
  [4, garbage],
  [3, silentLeaver],
  [4, replayer],
  [4, blocked],
]
