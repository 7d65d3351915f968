// hot: one call per read of every connection
import { Socket } from 'node:net'

/** Gets what a socket has read; called with the socket as `this`. */
export type OnRead = (this: Socket, bytes: number, buffer: Buffer) => boolean

/** The part of `net.Socket` that Node does not document; covered by a self-test at start. */
const HANDLE = '_handle'
interface SocketInternals {
  readonly [HANDLE]: { useUserBuffer(buffer: Buffer): void } | null
  [property: symbol]: unknown
}

const READ_BUFFER = findProperty('kBuffer')
const ON_READ = findProperty('kBufferCb')

/**
 * Give a socket that was accepted elsewhere the option `onread`, which Node has for those alone that connect: reads go
 * into `buffer`, none of them allocates. To wrap its handle in a second socket would do as well, and be work for nothing.
 * @throws TypeError where this Node keeps the option in another way
 */
export function shareReads(socket: Socket, buffer: Buffer, onRead: OnRead): void {
  const internals = socket as unknown as SocketInternals // the border to Node's internals
  if (READ_BUFFER === undefined || ON_READ === undefined) throw new TypeError('no place for a read buffer')
  const handle = internals[HANDLE]
  if (handle === null) return // reset meanwhile: there is nothing to read
  internals[READ_BUFFER] = buffer
  internals[ON_READ] = onRead
  handle.useUserBuffer(buffer)
}

/** A symbol that sockets have as a property of their own, by its name. */
function findProperty(name: string): symbol | undefined {
  return Object.getOwnPropertySymbols(new Socket()).find(({ description }) => description === name)
}
