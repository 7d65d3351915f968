import { Socket, type OnReadOpts, type SocketConstructorOpts } from 'node:net'

/**
 * What a socket is to the kernel, without the streams around it. The part of `net.Socket` that Node does not document:
 * it is what moves between threads, and what can be given a read buffer. Both are tried at start
 * (primary/can-move-handles.ts, worker/socket/self-test.ts).
 */
export interface SocketHandle {
  /** Below zero: it is closed, or was moved. */
  readonly fd: number
  close(): void
}

const HANDLE = '_handle'
interface SocketInternals {
  [HANDLE]: SocketHandle | null
}

/** null when it is closed, or its peer has reset it. */
export function handleOf(socket: Socket): SocketHandle | null {
  return (socket as unknown as SocketInternals)[HANDLE] // the border to Node's internals
}

/** Take the handle out of a socket, which is a destroyed shell then; null when its peer has reset it meanwhile. */
export function takeHandle(socket: Socket): SocketHandle | null {
  const handle = handleOf(socket)
  const internals = socket as unknown as SocketInternals
  internals[HANDLE] = null
  socket.destroy()
  return handle
}

/** A socket around a handle, not reading and half-open as its listener made it. */
export function openHandle(handle: SocketHandle, onread?: OnReadOpts): Socket {
  const options = { handle, allowHalfOpen: true, pauseOnCreate: true, onread }
  // The border to Node's internals: the types know of handles that are bound alone.
  return new Socket(options as unknown as SocketConstructorOpts)
}
