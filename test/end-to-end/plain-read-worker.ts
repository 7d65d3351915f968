import { expose } from 'comlink'
import { createEndpoint } from '#shared/comlink-endpoint'
import type { ServeTask } from '#worker/serve'
import { NodeCiphers } from '#worker/obfuscated2/node-ciphers'
import { keyByKey } from '#worker/key-search/key-by-key'
import { Thread } from '#worker/thread'

/** Where only what Node documents is there: 'data' events, none of the kernel's options, no WebAssembly. */
const PLAIN = {
  buffers: null,
  native: { native: null, works: new Set<never>(), reason: 'not looked for' },
  search: keyByKey,
  ciphers: new NodeCiphers(),
}

/** The worker as it runs where Node can do nothing special. */
export default async function serve({ boot, handOffPort, controlPort }: ServeTask): Promise<void> {
  const drained = Promise.withResolvers<void>()
  const thread = new Thread(boot, handOffPort, PLAIN, drained.resolve)
  await thread.start()
  expose(thread, createEndpoint(controlPort))
  await drained.promise
  thread.stop()
  controlPort.close()
}
