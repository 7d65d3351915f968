import type { UpstreamProxy } from '#shared/config'
import { formatHostPort, type HostPort } from '#shared/dc'
import { DialError } from '#shared/errors'
import { dialFirst, toDialError } from '#shared/dial/dial'
import type { HostResolver } from '#shared/dial/resolver'
import { Socks5Negotiation } from '#shared/dial/socks5'
import type { ByteSocket } from './byte-socket.ts'

export interface ConnectThroughOptions {
  /** Of the servers' own names. */
  readonly resolver: HostResolver
  /** For that question; the whole is limited by the caller's signal. */
  readonly timeoutMs: number
  readonly connect: (address: HostPort, signal: AbortSignal) => Promise<ByteSocket>
}

/**
 * A connection to `address`, paused, directly or through a SOCKS5 server. What the target sends behind the server's
 * last answer is kept for the reader. Destroyed when `signal` fires before it is open.
 * @throws the system's error; DialError with the server's address and reason, never with the credentials
 */
export async function connectThrough(
  address: HostPort,
  proxy: UpstreamProxy,
  options: ConnectThroughOptions,
  signal: AbortSignal,
): Promise<ByteSocket> {
  if (proxy.kind === 'direct') return options.connect(address, signal)
  const name = `proxy ${formatHostPort(proxy)}`
  let socket: ByteSocket
  try {
    socket = await connectServer(proxy, options, signal)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const isOurs = toDialError(cause, name).code === 'no-descriptors'
    throw new DialError(isOurs ? 'no-descriptors' : 'upstream', `${name}: ${reason}`, { cause })
  }
  try {
    await negotiate(socket, new Socks5Negotiation(proxy, address), name, signal)
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

async function connectServer(
  server: HostPort,
  { resolver, timeoutMs, connect }: ConnectThroughOptions,
  signal: AbortSignal,
): Promise<ByteSocket> {
  const hosts = await resolver.resolveWithin(server.host, timeoutMs, signal)
  const addresses = hosts.map((host) => ({ host, port: server.port }))
  if (addresses.length === 1) return connect(addresses[0]!, signal)
  const discard = (late: ByteSocket): void => late.destroy()
  return (await dialFirst({ addresses, timeoutMs, signal, connect, discard })).connection
}

function negotiate(
  socket: ByteSocket,
  negotiation: Socks5Negotiation,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let isOver = false
    const finish = (error: DialError | null): void => {
      if (isOver) return
      isOver = true
      signal.removeEventListener('abort', onAbort)
      if (error === null) resolve()
      else reject(error)
    }
    const fail = (reason: string): void => finish(new DialError('upstream', `${name}: ${reason}`))
    const onAbort = (): void => fail(`cancelled during the ${negotiation.stage}`)
    const onEnd = (): void => fail(`closed the connection during the ${negotiation.stage}`)
    socket.setSink({
      bytes: (chunk) => {
        if (isOver) return // it failed, and is about to be destroyed
        const answer = negotiation.push(chunk)
        if (answer.length > 0) socket.write(answer)
        if (negotiation.failure !== null) {
          const { code, reason } = negotiation.failure
          return finish(new DialError(code, `${name}: ${reason}`))
        }
        if (negotiation.stage !== 'open') return
        socket.pause()
        socket.unread(negotiation.takeRest())
        finish(null)
      },
      ended: onEnd,
      drained: () => {},
      closed: onEnd,
    })
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) return onAbort()
    socket.write(negotiation.start())
    socket.resume()
  })
}
