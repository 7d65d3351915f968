import { expose } from 'comlink'
import { createEndpoint } from '#shared/comlink-endpoint'
import type { ServeTask } from '#worker/serve'
import { Thread } from '#worker/thread'

/** The worker as it runs where Node cannot share read buffers: by 'data' events. */
export default async function serve({ boot, handOffPort, controlPort }: ServeTask): Promise<void> {
  const drained = Promise.withResolvers<void>()
  const thread = new Thread(boot, handOffPort, null, drained.resolve)
  await thread.start()
  expose(thread, createEndpoint(controlPort))
  await drained.promise
  thread.stop()
  controlPort.close()
}
