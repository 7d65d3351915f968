import type { Socket } from 'node:net'

/** SOCKS5 without authentication (RFC 1928): whatever address is asked for, `serve` is who answers. */

const NO_AUTHENTICATION = 0
const CONNECT = 1
const GRANTED = Buffer.of(5, 0, 0, 1, 127, 0, 0, 1, 0, 0)
const REFUSED = Buffer.of(5, 0xff)
const NOT_SUPPORTED = Buffer.of(5, 7, 0, 1, 0, 0, 0, 0, 0, 0)
/** Greeting and request together are shorter: 257 and 262 bytes. */
const MAX_TALK_BYTES = 519

/** Bytes of the greeting that `bytes` begins with, or 0 while some are missing. */
export function greetingBytes(bytes: Uint8Array): number {
  const length = 2 + (bytes[1] ?? 0)
  return bytes.length >= 2 && bytes.length >= length ? length : 0
}

/** Bytes of the request that `bytes` begins with, or 0 while some are missing. */
export function requestBytes(bytes: Uint8Array): number {
  // 05 01 00 | kind | address | 2 bytes of port; a name (kind 3) has its length in front
  const addressBytes = { 1: 4, 3: 1 + (bytes[4] ?? 0), 4: 16 }[bytes[3] ?? 0]
  if (bytes.length < 5 || addressBytes === undefined) return 0
  return bytes.length >= 4 + addressBytes + 2 ? 4 + addressBytes + 2 : 0
}

/** Talk until a CONNECT has been granted, then give the socket away; bytes behind the request are not lost. */
export function acceptSocks(socket: Socket, serve: (socket: Socket) => void): void {
  let talk = Buffer.alloc(0)
  let greeted = false
  const refuse = (answer: Buffer): void => void socket.end(answer)
  const leave = (): void => void socket.end()
  const onError = (): void => {}
  const onData = (chunk: Buffer): void => {
    talk = Buffer.concat([talk, chunk])
    if (!greeted) {
      const length = greetingBytes(talk)
      if (length === 0) return
      if (talk[0] !== 5 || !talk.subarray(2, length).includes(NO_AUTHENTICATION)) return refuse(REFUSED)
      greeted = true
      talk = talk.subarray(length)
      socket.write(Buffer.of(5, NO_AUTHENTICATION))
    }
    const length = requestBytes(talk)
    if (length === 0) return void (talk.length > MAX_TALK_BYTES && socket.destroy())
    if (talk[1] !== CONNECT) return refuse(NOT_SUPPORTED)
    socket.pause().off('data', onData).off('end', leave).off('error', onError)
    const behind = talk.subarray(length)
    if (behind.length > 0) socket.unshift(behind)
    socket.write(GRANTED)
    serve(socket)
    socket.resume()
  }
  socket.on('data', onData).on('end', leave).on('error', onError)
}
