import type { MessagePort } from 'node:worker_threads'
import { expose } from 'comlink'
import { createEndpoint } from '#shared/comlink-endpoint'
import type { WorkerBoot } from '#shared/worker-control'
import { chooseKeySearch } from './key-search/self-test.ts'
import { NATIVE_OPTIONS } from './socket/native-options.ts'
import { createReadBuffers } from './socket/read-buffers.ts'
import { canShareReadBuffer } from './socket/self-test.ts'
import { testNativeOptions } from './socket/test-native-options.ts'
import { Thread } from './thread.ts'

/** Input of the long task that a worker thread is. */
export interface ServeTask {
  readonly boot: WorkerBoot
  /** Sockets in, `UserSeen` out. */
  readonly handOffPort: MessagePort
  /** Comlink: `WorkerControl`. */
  readonly controlPort: MessagePort
}

/** Piscina entry: serve hand-offs until drained. The thread's sockets are all closed when this resolves. */
export default async function serve({ boot, handOffPort, controlPort }: ServeTask): Promise<void> {
  const [isShared, native] = await Promise.all([canShareReadBuffer(), testNativeOptions()])
  const drained = Promise.withResolvers<void>()
  const buffers = isShared ? createReadBuffers() : null
  const { search, reason: slowSearch } = chooseKeySearch()
  const thread = new Thread(boot, handOffPort, { buffers, native, search }, drained.resolve)
  if (!isShared) thread.log.warn('this Node cannot share read buffers: relaying costs more CPU')
  // All threads find the same: once is enough.
  if (slowSearch !== null && boot.thread === 0)
    thread.log.warn({ reason: slowSearch }, 'secrets are searched one by one: strangers cost more CPU')
  if (native.reason !== null && boot.thread === 0) {
    const options = NATIVE_OPTIONS.filter((option) => !native.works.has(option))
    thread.log.info({ options, reason: native.reason }, 'socket options that cannot be set here')
  }
  try {
    await thread.start()
  } catch (error) {
    // Its place is taken by another one, perhaps in this very thread.
    thread.stop()
    throw error
  }
  expose(thread, createEndpoint(controlPort))
  await drained.promise
  thread.stop()
  controlPort.close()
}
