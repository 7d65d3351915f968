import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { TestContext } from 'node:test'

/** At which of its answers a server goes wrong. */
export type SocksAnswer = 'greeting' | 'credentials' | 'request'

/** What it does in place of the answer. */
export type SocksFault =
  | 'hang'
  | 'close'
  | 'reset'
  /** One byte of the right answer, and nothing more. */
  | 'first-byte'
  /** A byte every 20 ms, of a name of 255 bytes where an address is due. */
  | 'drip'
  | 'garbage'
  /** Bytes as they are. */
  | Buffer

export interface SocksServerOptions {
  readonly username?: string
  readonly password?: string
  readonly fault?: { readonly at: SocksAnswer; readonly how: SocksFault }
  /** Every answer byte by byte, each in a packet of its own. */
  readonly splits?: boolean
  /** The address in the reply to a request; IPv4 when absent. */
  readonly bound?: Buffer
  /** Sent together with the reply, before the target says anything. */
  readonly behindReply?: Buffer
  readonly port?: number
}

export interface SocksServer {
  readonly port: number
  /** `host:port` of every request, names as they came. */
  readonly targets: readonly string[]
  /** Connections so far, and now. */
  readonly connections: number
  readonly open: number
  /** Goes wrong, or right again, from now on. */
  setFault(fault: SocksServerOptions['fault'] | null): void
  close(): Promise<void>
}

const IPV4_ANY = Buffer.of(1, 0, 0, 0, 0, 0, 0)
const REFUSED = 5
const DRIP_MS = 20

/** A SOCKS5 server written from RFC 1928 and RFC 1929, with faults. Closed when the test ends. */
export async function startSocksServer(
  t: TestContext,
  options: SocksServerOptions = {},
): Promise<SocksServer> {
  const targets: string[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  let open = 0
  let fault = options.fault ?? null
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    sockets.add(client)
    connections += 1
    open += 1
    client.on('close', () => (open -= 1))
    client.on('error', () => {}) // clients leave when they like
    serve(client, options, () => fault, { targets, sockets }).catch(() => client.destroy())
  })
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    if (!server.listening) return
    server.close()
    await once(server, 'close')
  }
  t.after(close)
  const { port } = server.address() as AddressInfo // listening on TCP
  return {
    port,
    targets,
    get connections() {
      return connections
    },
    get open() {
      return open
    },
    setFault: (next) => (fault = next ?? null),
    close,
  }
}

interface Log {
  readonly targets: string[]
  readonly sockets: Set<Socket>
}

async function serve(
  client: Socket,
  options: SocksServerOptions,
  fault: () => SocksServerOptions['fault'] | null,
  { targets, sockets }: Log,
): Promise<void> {
  const { username, password = '', bound = IPV4_ANY, behindReply = Buffer.alloc(0) } = options
  const read = createReader(client)
  const leave = (): void => void client.destroy()
  client.on('end', leave)
  const answer = async (at: SocksAnswer, bytes: Buffer): Promise<void> => {
    const now = fault()
    if (now?.at === at) return misbehave(client, now.how, bytes)
    if (options.splits !== true) return void client.write(bytes)
    for (const byte of bytes) {
      client.write(Buffer.of(byte))
      await nextTurn()
    }
  }

  const [version, methodCount = 0] = await read(2)
  const methods = await read(methodCount)
  const method = username === undefined ? 0 : 2
  if (version !== 5 || !methods.includes(method)) return void client.end(Buffer.of(5, 0xff))
  await answer('greeting', Buffer.of(5, method))
  if (username !== undefined) {
    const [, userBytes = 0] = await read(2)
    const user = await read(userBytes)
    const secret = await read((await read(1))[0] ?? 0)
    const isRight = String(user) === username && String(secret) === password
    await answer('credentials', Buffer.of(1, isRight ? 0 : 1))
    if (!isRight) return void client.end()
  }
  const [, , , kind] = await read(4)
  const host = await readHost(read, kind ?? 0)
  const port = (await read(2)).readUInt16BE()
  targets.push(`${host}:${port}`)
  const target = connect({ host, port, allowHalfOpen: true })
  sockets.add(target)
  client.on('close', () => target.destroy())
  try {
    await once(target, 'connect')
  } catch {
    await answer('request', Buffer.concat([Buffer.of(5, REFUSED, 0), IPV4_ANY]))
    return void client.end()
  }
  target.on('error', () => client.destroy())
  await answer('request', Buffer.concat([Buffer.of(5, 0, 0), bound, behindReply]))
  read.release()
  client.off('end', leave)
  target.pipe(client)
  client.pipe(target)
}

interface Reader {
  (bytes: number): Promise<Buffer>
  release(): void
}

/** Exact reads; what was read too far goes back at the end. */
function createReader(socket: Socket): Reader {
  let wake = (): void => {}
  const onReadable = (): void => {
    wake()
    if (socket.readableLength === 0) socket.read(0) // or its end would not be told
  }
  socket.on('readable', onReadable).on('end', onReadable).on('close', onReadable)
  const read = async (bytes: number): Promise<Buffer> => {
    for (;;) {
      if (bytes === 0) return Buffer.alloc(0)
      const chunk = socket.read(bytes) as Buffer | null // no encoding is set
      if (chunk !== null && chunk.length === bytes) return chunk
      if (socket.readableEnded || socket.destroyed) throw new Error('the client left')
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  return Object.assign(read, { release: () => void socket.off('readable', onReadable) })
}

async function readHost(read: Reader, kind: number): Promise<string> {
  if (kind === 1) return (await read(4)).join('.')
  if (kind === 3) return String(await read((await read(1))[0] ?? 0))
  const words = await read(16)
  return Array.from({ length: 8 }, (_, at) => words.readUInt16BE(at * 2).toString(16)).join(':')
}

async function misbehave(client: Socket, how: SocksFault, right: Buffer): Promise<void> {
  if (how === 'close') client.end()
  else if (how === 'reset') client.resetAndDestroy()
  else if (how === 'first-byte') client.write(right.subarray(0, 1))
  else if (how === 'garbage') client.write('HTTP/1.1 400 Bad Request\r\n\r\n')
  else if (how === 'drip') return drip(client)
  else if (how !== 'hang') client.write(how)
  await new Promise(() => {}) // nothing follows
}

async function drip(client: Socket): Promise<void> {
  const long = Buffer.concat([Buffer.of(5, 0, 0, 3, 255), Buffer.alloc(300, 'a')])
  for (const byte of long) {
    if (client.destroyed) return
    client.write(Buffer.of(byte))
    await new Promise((resolve) => setTimeout(resolve, DRIP_MS))
  }
}
