import { connect, type LookupFunction, type Socket } from 'node:net'

import type { HostPort } from '#shared/dc'

/**
 * Open a plain TCP connection, for exchanges of a few bytes. Destroyed when `signal` fires before it is open.
 * @throws the system's error, or 'cancelled'
 */
export function openSocket(address: HostPort, signal: AbortSignal, lookup?: LookupFunction): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: address.host,
      port: address.port,
      noDelay: true,
      ...(lookup === undefined ? {} : { lookup }),
    })
    const finish = (): void => signal.removeEventListener('abort', cancel)
    const cancel = (): void => {
      socket.destroy()
      finish()
      reject(new Error('cancelled'))
    }
    socket.once('connect', () => {
      finish()
      resolve(socket)
    })
    // Stays: an error after the exchange is nobody's, and would end the process.
    socket.on('error', (error) => {
      finish()
      reject(error)
    })
    signal.addEventListener('abort', cancel)
    if (signal.aborted) cancel()
  })
}
