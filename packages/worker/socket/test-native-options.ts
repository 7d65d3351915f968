import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { loadNativeOptions, NATIVE_OPTIONS, type NativeOption, type NativeOptions } from './native-options.ts'
import { CONGESTION_CONTROL } from './socket-options.ts'

/** None of the defaults of any kernel. */
const TEST_NUMBER = 123_456

export interface NativeSupport {
  /** null: there is no way to set any. */
  readonly native: NativeOptions | null
  readonly works: ReadonlySet<NativeOption>
  /** Why the others do not work; null when all do. */
  readonly reason: string | null
}

/**
 * Which options can be set here: each is set on a real connection and read back, so that neither a kernel without it nor
 * a library that does something else goes unnoticed. Never rejects.
 */
export async function testNativeOptions(
  load: () => Promise<NativeOptions> = loadNativeOptions,
): Promise<NativeSupport> {
  try {
    const native = await load()
    const works = new Set(await withConnection((socket) => listWorking(native, socket)))
    const reason = works.size === NATIVE_OPTIONS.length ? null : 'this kernel does not have them'
    return { native, works, reason }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    const isMissing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
    const message = error instanceof Error ? error.message : String(error)
    const reason = isMissing
      ? 'the optional package koffi is not installed'
      : `koffi does not work: ${message}`
    return { native: null, works: new Set(), reason }
  }
}

function listWorking(native: NativeOptions, socket: Socket): readonly NativeOption[] {
  return NATIVE_OPTIONS.filter((option) =>
    option === 'TCP_CONGESTION'
      ? native.setText(socket, option, CONGESTION_CONTROL) &&
        native.getText(socket, option) === CONGESTION_CONTROL
      : native.setNumber(socket, option, TEST_NUMBER) && native.getNumber(socket, option) === TEST_NUMBER,
  )
}

async function withConnection<T>(use: (socket: Socket) => T): Promise<T> {
  const server = createServer((accepted) => accepted.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const socket = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1')
  socket.on('error', () => {})
  try {
    await once(socket, 'connect')
    return use(socket)
  } finally {
    socket.destroy()
    server.close()
  }
}
