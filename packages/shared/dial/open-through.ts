import type { LookupFunction, Socket } from 'node:net'

import type { Socks5Proxy } from '../config.ts'
import { formatHostPort, type HostPort } from '../dc.ts'
import { DialError } from '../errors.ts'
import { openSocket } from './open-socket.ts'
import { Socks5Negotiation } from './socks5.ts'

type Socks5Server = Pick<Socks5Proxy, 'host' | 'port' | 'username' | 'password'>

/**
 * A plain TCP connection to `address`, through a SOCKS5 server or directly. Destroyed when `signal` fires before it is
 * open. A name goes to the server as it is.
 * @param lookup for what we dial ourselves, when it has a name; absent: by the system
 * @throws the system's error; DialError with the server's address and reason, never with the credentials
 */
export async function openThrough(
  server: Socks5Server | null,
  address: HostPort,
  signal: AbortSignal,
  lookup?: LookupFunction,
): Promise<Socket> {
  if (server === null) return openSocket(address, signal, lookup)
  let socket: Socket
  try {
    socket = await openSocket({ host: server.host, port: server.port }, signal, lookup)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new DialError('upstream', `proxy ${formatHostPort(server)}: ${reason}`, { cause })
  }
  try {
    await negotiate(socket, server, address, signal)
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

function negotiate(
  socket: Socket,
  server: Socks5Server,
  address: HostPort,
  signal: AbortSignal,
): Promise<void> {
  const negotiation = new Socks5Negotiation(server, address)
  return new Promise((resolve, reject) => {
    const finish = (error: DialError | null): void => {
      socket.off('readable', read).off('end', onEnd).off('close', onEnd)
      signal.removeEventListener('abort', onAbort)
      if (error === null) resolve()
      else reject(error)
    }
    const fail = (reason: string): void =>
      finish(new DialError('upstream', `proxy ${formatHostPort(server)}: ${reason}`))
    const onEnd = (): void => fail(`closed the connection during the ${negotiation.stage}`)
    const onAbort = (): void => fail(`cancelled during the ${negotiation.stage}`)
    // By 'readable' and not by 'data': nothing flows on behind our back when the listener is gone.
    const read = (): void => {
      // Without an encoding chunks are Buffers.
      for (
        let chunk = socket.read() as Buffer | null;
        chunk !== null;
        chunk = socket.read() as Buffer | null
      ) {
        const answer = negotiation.push(chunk)
        if (answer.length > 0) socket.write(answer)
        if (negotiation.failure !== null) {
          const { code, reason } = negotiation.failure
          return finish(new DialError(code, `proxy ${formatHostPort(server)}: ${reason}`))
        }
        if (negotiation.stage !== 'open') continue
        const rest = negotiation.takeRest()
        if (rest.length > 0) socket.unshift(rest)
        return finish(null)
      }
    }
    socket.on('readable', read).on('end', onEnd).on('close', onEnd)
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) return onAbort()
    socket.write(negotiation.start())
  })
}
