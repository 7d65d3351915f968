import type { HostPort } from '#shared/dc'
import { ByteSocket } from './byte-socket.ts'
import type { WriteSlots } from './write-slots.ts'

/**
 * Open a TCP connection, paused. The socket is destroyed when `signal` fires before it is open.
 * @throws the system's error
 */
export function connectSocket(
  address: HostPort,
  slots: WriteSlots,
  readBuffer: Buffer | null,
  signal: AbortSignal,
): Promise<ByteSocket> {
  const byteSocket = ByteSocket.connect(address, slots, readBuffer)
  const { socket } = byteSocket
  return new Promise((resolve, reject) => {
    const cancel = (): void => {
      socket.destroy()
      done()
      reject(new Error('cancelled'))
    }
    const done = (): void => {
      socket.off('connect', onConnect)
      socket.off('error', onError)
      signal.removeEventListener('abort', cancel)
    }
    const onConnect = (): void => {
      done()
      resolve(byteSocket)
    }
    const onError = (error: Error): void => {
      done()
      reject(error)
    }
    socket.once('connect', onConnect)
    socket.once('error', onError)
    signal.addEventListener('abort', cancel)
    if (signal.aborted) cancel()
  })
}
