// hot: one call per read and per write of every connection
import { connect, Socket } from 'node:net'
import type { Farewells } from '#shared/farewells'
import { openHandle, takeHandle, type SocketHandle } from '#shared/socket-handle'
import { WriteQueue } from './write-queue.ts'
import type { WriteSlots } from './write-slots.ts'

/** Who gets a socket's bytes and events. It changes as a connection goes through its stages. */
export interface ByteSink {
  /** `chunk` is the sink's to change until it returns; then its memory is read into again. */
  bytes(chunk: Buffer): void
  /** The peer will send no more. */
  ended(): void
  /** What was written has left; the source may go on. */
  drained(): void
  /** The socket is gone; `error` is null when it ended in order. */
  closed(error: Error | null): void
}

/** Holds bytes of a socket back, to be written later. */
export interface Holder {
  /** Payload that waits, bytes. */
  readonly heldBytes: number
  /** What was written has left. The holder passes it on by `tellDrained` when it has room as well. */
  drained(): void
  /** Call `end` once nothing is held any more. */
  endWhenEmpty(): void
  /** Drop what is held, for good; returns its payload in bytes. Calling it twice is fine. */
  discard(): number
}

/**
 * Writes waiting at once. Node's own limit counts bytes alone: tiny ones for a peer that does not read would pile up by
 * the ten thousand, each with a slot.
 */
const MAX_WRITES_IN_FLIGHT = 256

const NOTHING = Buffer.alloc(0)
const IGNORE: ByteSink = { bytes() {}, ended() {}, drained() {}, closed() {} }

/** Where a socket's listeners find the `ByteSocket` around it: they are the same functions for all sockets. */
interface OwnedSocket extends Socket {
  byteSocket: ByteSocket
}

/** A TCP socket that gives its bytes to one sink, reads into a buffer shared by its thread, and writes from slots. */
export class ByteSocket {
  readonly socket: Socket
  #sink: ByteSink
  #holder: Holder | null
  readonly #slots: WriteSlots
  readonly #inFlight: WriteQueue
  #unsentBytes: number
  /** A write was refused for the number of those in flight, so `drained` is ours to tell. */
  #isCrowded: boolean
  /** What was read too far, for the next reader; empty on almost every socket. */
  #unread: Buffer
  #error: Error | null
  #isClosed: boolean
  readonly #onWritten: (error?: Error | null) => void

  private constructor(socket: Socket, slots: WriteSlots) {
    this.socket = socket
    this.#sink = IGNORE
    this.#holder = null
    this.#slots = slots
    this.#inFlight = new WriteQueue()
    this.#unsentBytes = 0
    this.#isCrowded = false
    this.#unread = NOTHING
    this.#error = null
    this.#isClosed = false
    this.#onWritten = (error) => this.#written(error === undefined || error === null)
    const owned = socket as OwnedSocket
    owned.byteSocket = this
    socket.pause()
    socket.on('end', onEnd)
    socket.on('drain', onDrain)
    socket.on('error', onError)
    socket.on('close', onClose)
  }

  /**
   * Take over a socket that was accepted elsewhere. Nothing has been read from it, and nothing is until `resume`.
   * @param readBuffer shared by all sockets of the thread; null reads into fresh memory by 'data' events
   */
  static adopt(from: SocketHandle | Socket, slots: WriteSlots, readBuffer: Buffer | null): ByteSocket {
    const isSocket = from instanceof Socket
    if (readBuffer === null) return ByteSocket.#listen(isSocket ? from : openHandle(from), slots)
    // Only a handle can be given a read buffer. Where there is none the peer has reset the socket.
    const handle = isSocket ? takeHandle(from) : from
    const onread = { buffer: readBuffer, callback: onRead }
    return new ByteSocket(handle === null ? new Socket().destroy() : openHandle(handle, onread), slots)
  }

  /** Open a connection. It is not reading before `resume`; `connected` and errors are the socket's own events. */
  static connect(
    options: { host: string; port: number },
    slots: WriteSlots,
    readBuffer: Buffer | null,
  ): ByteSocket {
    const common = {
      host: options.host,
      port: options.port,
      noDelay: true,
      allowHalfOpen: true,
    }
    if (readBuffer === null) return ByteSocket.#listen(connect(common), slots)
    const onread = { buffer: readBuffer, callback: onRead }
    return new ByteSocket(connect({ ...common, onread }), slots)
  }

  static #listen(socket: Socket, slots: WriteSlots): ByteSocket {
    const self = new ByteSocket(socket, slots)
    socket.on('data', onData)
    return self
  }

  // What the socket's listeners call

  deliver(chunk: Buffer): void {
    this.#sink.bytes(chunk)
  }

  handleEnd(): void {
    this.#sink.ended()
  }

  handleDrain(): void {
    this.#drained()
  }

  handleError(error: Error): void {
    this.#error = error
  }

  handleClose(): void {
    this.#isClosed = true
    this.#discardHeld()
    const sink = this.#sink
    this.#sink = IGNORE
    sink.closed(this.#error)
  }

  /** Hand the bytes and events from here on to another sink. One that comes after the end is told at once. */
  setSink(sink: ByteSink): void {
    if (this.#isClosed) return sink.closed(this.#error)
    this.#sink = sink
    if (!this.socket.readableEnded) return
    this.#deliverUnread() // with 'data' events the end may be known while this waits
    sink.ended()
  }

  /** The peer will send no more, or is gone. */
  get hasEnded(): boolean {
    return this.socket.readableEnded || this.socket.destroyed
  }

  resume(): void {
    this.socket.resume()
    if (!this.socket.destroyed) this.#deliverUnread()
  }

  /** Put bytes back that belong to whoever reads next; `resume` gives them out before all others. The socket is paused. */
  unread(bytes: Buffer): void {
    this.#unread = bytes.length === 0 ? NOTHING : Buffer.from(bytes)
  }

  #deliverUnread(): void {
    const bytes = this.#unread
    if (bytes.length === 0) return
    this.#unread = NOTHING
    this.#sink.bytes(bytes)
  }

  pause(): void {
    this.socket.pause()
  }

  /** Write memory that stays untouched until it is sent; none of it counts as payload. False: wait for `drained`. */
  write(bytes: Buffer): boolean {
    return this.#send(bytes, null, 0)
  }

  /** Write the first `length` bytes of a slot, `payloadBytes` of them payload; the slot goes back when they are sent. */
  writeSlot(slot: Buffer, length: number, payloadBytes: number): boolean {
    return this.#send(slot.subarray(0, length), slot, payloadBytes)
  }

  /** Write memory that will be overwritten as soon as this returns. */
  writeCopy(bytes: Buffer): boolean {
    const slot = this.#slots.take(bytes.length)
    bytes.copy(slot)
    return this.writeSlot(slot, bytes.length, bytes.length)
  }

  #send(bytes: Buffer, slot: Buffer | null, payloadBytes: number): boolean {
    this.#inFlight.push(slot, payloadBytes)
    this.#unsentBytes += payloadBytes
    const ok = this.socket.write(bytes, this.#onWritten)
    if (this.#inFlight.length < MAX_WRITES_IN_FLIGHT) return ok
    this.#isCrowded = true
    return false
  }

  #written(isSent: boolean): void {
    if (isSent) this.#unsentBytes -= this.#inFlight.oldestPayloadBytes
    const slot = this.#inFlight.shift()
    if (slot !== null) this.#slots.giveBack(slot)
    if (!this.#isCrowded || this.#inFlight.length > 0) return
    this.#isCrowded = false
    this.#drained()
  }

  #drained(): void {
    if (this.#holder === null) this.#sink.drained()
    else this.#holder.drained()
  }

  /** Let `holder` have its say in everything that concerns bytes which are not written yet. */
  holdBy(holder: Holder): void {
    this.#holder = holder
  }

  /** For the holder: the source may go on. */
  tellDrained(): void {
    this.#sink.drained()
  }

  /** Payload held, or written and not taken by the kernel; Node forgets its own count of it when a socket breaks. */
  get unsentBytes(): number {
    return this.#unsentBytes + (this.#holder === null ? 0 : this.#holder.heldBytes)
  }

  /** What is dropped was never sent. */
  #discardHeld(): void {
    if (this.#holder !== null) this.#unsentBytes += this.#holder.discard()
  }

  /** Send a FIN behind what is queued. */
  end(): void {
    if (this.#holder !== null && this.#holder.heldBytes > 0) return this.#holder.endWhenEmpty()
    const { socket } = this
    // A second end makes an error object, even though nobody gets to see it.
    if (socket.writableEnded) return
    // The peer has ended, and has all that was written: closing sends the FIN as well, for one system call less.
    if (socket.readableEnded && socket.writableLength === 0) socket.destroy()
    else socket.end()
  }

  /** Close at once with a reset, as the other side of a relay did. */
  reset(): void {
    this.#discardHeld()
    this.socket.resetAndDestroy()
  }

  /** Let the peer go with a FIN behind what is queued; nobody is told of its bytes and events any more. */
  dismiss(farewells: Farewells, nowMs: number): void {
    this.#sink = IGNORE
    farewells.dismiss(this.socket, nowMs)
  }

  /** Close at once; what is queued is lost, and unread bytes make it a reset. */
  destroy(): void {
    this.#discardHeld()
    this.socket.destroy()
  }
}

// Called with the socket as `this`: for each of five closures of its own a socket would hold 100 bytes.

function onRead(this: Socket, bytes: number, buffer: Buffer): boolean {
  ownerOf(this).deliver(buffer.subarray(0, bytes))
  return true
}

function onData(this: Socket, chunk: Buffer): void {
  ownerOf(this).deliver(chunk)
}

function onEnd(this: Socket): void {
  ownerOf(this).handleEnd()
}

function onDrain(this: Socket): void {
  ownerOf(this).handleDrain()
}

function onError(this: Socket, error: Error): void {
  ownerOf(this).handleError(error)
}

function onClose(this: Socket): void {
  ownerOf(this).handleClose()
}

function ownerOf(socket: Socket): ByteSocket {
  return (socket as OwnedSocket).byteSocket // set before any of the listeners
}
