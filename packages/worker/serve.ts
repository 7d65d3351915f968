import type { MessagePort } from 'node:worker_threads'
import { expose } from 'comlink'
import { createEndpoint } from '#shared/comlink-endpoint'
import type { WorkerBoot } from '#shared/worker-control'
import { createReadBuffers } from './socket/read-buffers.ts'
import { canShareReadBuffer } from './socket/self-test.ts'
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
  const isShared = await canShareReadBuffer()
  const drained = Promise.withResolvers<void>()
  const thread = new Thread(boot, handOffPort, isShared ? createReadBuffers() : null, drained.resolve)
  if (!isShared) thread.log.warn('this Node cannot share read buffers: relaying costs more CPU')
  await thread.start()
  expose(thread, createEndpoint(controlPort))
  await drained.promise
  thread.stop()
  controlPort.close()
}
