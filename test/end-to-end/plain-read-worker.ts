import { expose } from 'comlink'
import { createEndpoint } from '#shared/comlink-endpoint'
import type { ServeTask } from '#worker/serve'
import { Thread } from '#worker/thread'

/** Where only what Node documents is there: 'data' events, and none of the kernel's options. */
const PLAIN = { buffers: null, native: { native: null, works: new Set<never>(), reason: 'not looked for' } }

/** The worker as it runs where Node cannot share read buffers. */
export default async function serve({ boot, handOffPort, controlPort }: ServeTask): Promise<void> {
  const drained = Promise.withResolvers<void>()
  const thread = new Thread(boot, handOffPort, PLAIN, drained.resolve)
  await thread.start()
  expose(thread, createEndpoint(controlPort))
  await drained.promise
  thread.stop()
  controlPort.close()
}
