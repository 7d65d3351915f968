import type { MessagePort } from 'node:worker_threads'
import { expose } from 'comlink'
import type { Logger } from 'pino'
import type { CipherChoice } from '#shared/config'
import { createEndpoint } from '#shared/comlink-endpoint'
import type { WorkerBoot } from '#shared/worker-control'
import { chooseKeySearch } from './key-search/self-test.ts'
import { chooseCiphers, type ChosenCiphers } from './obfuscated2/choose-ciphers.ts'
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
  const [isShared, native, chosen] = await Promise.all([
    canShareReadBuffer(),
    testNativeOptions(),
    chooseCiphers(boot.config.performance.cipher),
  ])
  const drained = Promise.withResolvers<void>()
  const { ciphers } = chosen
  // Native ones would outlive a thread that dies. One that is ended from outside, because it hangs or its heap is full, runs
  // no code any more: 0.7 KB a stream are lost until the process ends.
  const closeCiphers = (): void => ciphers.closeAll()
  process.once('exit', closeCiphers)
  const buffers = isShared ? createReadBuffers() : null
  const { search, reason: slowSearch } = chooseKeySearch()
  const thread = new Thread(boot, handOffPort, { buffers, native, search, ciphers }, drained.resolve)
  if (!isShared) thread.log.warn('this Node cannot share read buffers: relaying costs more CPU')
  // All threads find the same: once is enough.
  if (slowSearch !== null && boot.thread === 0)
    thread.log.warn({ reason: slowSearch }, 'secrets are searched one by one: strangers cost more CPU')
  if (native.reason !== null && boot.thread === 0) {
    const options = NATIVE_OPTIONS.filter((option) => !native.works.has(option))
    thread.log.info({ options, reason: native.reason }, 'socket options that cannot be set here')
  }
  if (boot.thread === 0) logCiphers(thread.log, boot.config.performance.cipher, chosen)
  try {
    await thread.start()
  } catch (error) {
    // Its place is taken by another one, perhaps in this very thread.
    thread.stop()
    process.off('exit', closeCiphers)
    throw error
  }
  expose(thread, createEndpoint(controlPort))
  await drained.promise
  thread.stop()
  process.off('exit', closeCiphers)
  controlPort.close()
}

/** Said by one thread for all: which ciphers are used, and why not those that were asked for. */
function logCiphers(log: Logger, choice: CipherChoice, { ciphers, reason }: ChosenCiphers): void {
  const fields = { cipher: ciphers.name, ...(reason === null ? {} : { reason }) }
  if (reason !== null && choice === 'native') log.warn(fields, 'native ciphers cannot be used here')
  else log.info(fields, 'ciphers')
}
