import type { Socket } from 'node:net'
import { handleOf } from '#shared/socket-handle'

/** Socket options that Node has no way to set. */
export const NATIVE_OPTIONS = ['TCP_NOTSENT_LOWAT', 'TCP_USER_TIMEOUT', 'TCP_CONGESTION'] as const
export type NativeOption = (typeof NATIVE_OPTIONS)[number]

type Setter = (fd: number, level: number, name: number, value: Uint8Array, bytes: number) => number
type Getter = (fd: number, level: number, name: number, value: Uint8Array, bytes: Uint32Array) => number

/** IPPROTO_TCP, the same everywhere. */
const LEVEL = 6
/** netinet/tcp.h; an option that the platform does not have is left out. */
const NAMES: Readonly<Partial<Record<NodeJS.Platform, Partial<Record<NativeOption, number>>>>> = {
  linux: { TCP_NOTSENT_LOWAT: 25, TCP_USER_TIMEOUT: 18, TCP_CONGESTION: 13 },
  darwin: { TCP_NOTSENT_LOWAT: 0x201 },
}
const INT_BYTES = 4
/** TCP_CA_NAME_MAX, its end included. */
const TEXT_BYTES = 16

/**
 * setsockopt(2) by way of koffi, which is an optional dependency: 0.5 µs a call, the system call included
 * (bench/micro/socket-options.ts). Whether an option works is found out by `testNativeOptions`.
 */
export class NativeOptions {
  readonly #set: Setter
  readonly #get: Getter
  readonly #names: Readonly<Partial<Record<NativeOption, number>>>
  /** Taken for every call; the kernel copies it. */
  readonly #value: DataView
  readonly #bytes: Uint8Array
  readonly #length: Uint32Array

  constructor(set: Setter, get: Getter, platform: NodeJS.Platform) {
    this.#set = set
    this.#get = get
    this.#names = NAMES[platform] ?? {}
    this.#bytes = new Uint8Array(TEXT_BYTES)
    this.#value = new DataView(this.#bytes.buffer)
    this.#length = new Uint32Array(1)
  }

  /** False when the kernel will not, or the socket is gone. */
  setNumber(socket: Socket, option: NativeOption, value: number): boolean {
    this.#value.setInt32(0, value, true)
    return this.#apply(socket, option, INT_BYTES)
  }

  /** As `setNumber`, for a short name in ASCII. */
  setText(socket: Socket, option: NativeOption, value: string): boolean {
    this.#bytes.fill(0)
    for (let at = 0; at < value.length && at < TEXT_BYTES - 1; at++) this.#bytes[at] = value.charCodeAt(at)
    return this.#apply(socket, option, value.length)
  }

  /** What the kernel has, or null. */
  getNumber(socket: Socket, option: NativeOption): number | null {
    return this.#read(socket, option, INT_BYTES) ? this.#value.getInt32(0, true) : null
  }

  getText(socket: Socket, option: NativeOption): string | null {
    if (!this.#read(socket, option, TEXT_BYTES)) return null
    const end = this.#bytes.indexOf(0)
    return String.fromCharCode(...this.#bytes.subarray(0, end < 0 ? TEXT_BYTES : end))
  }

  #apply(socket: Socket, option: NativeOption, bytes: number): boolean {
    const name = this.#names[option]
    const fd = findDescriptor(socket)
    return name !== undefined && fd !== null && this.#set(fd, LEVEL, name, this.#bytes, bytes) === 0
  }

  #read(socket: Socket, option: NativeOption, bytes: number): boolean {
    const name = this.#names[option]
    const fd = findDescriptor(socket)
    this.#bytes.fill(0)
    this.#length[0] = bytes
    return name !== undefined && fd !== null && this.#get(fd, LEVEL, name, this.#bytes, this.#length) === 0
  }
}

/** @throws Error when koffi is not installed or does not run here */
export async function loadNativeOptions(): Promise<NativeOptions> {
  const { load } = await import('koffi')
  const libc = load(null)
  // The border to the library, whose functions take and return anything.
  const set = libc.func('int setsockopt(int, int, int, const void *, uint32_t)') as Setter
  const get = libc.func('int getsockopt(int, int, int, _Out_ void *, _Inout_ uint32_t *)') as Getter
  return new NativeOptions(set, get, process.platform)
}

/** Valid as long as nothing is awaited: a descriptor may be somebody else's afterwards. */
function findDescriptor(socket: Socket): number | null {
  const fd = handleOf(socket)?.fd
  return fd === undefined || fd < 0 ? null : fd
}
