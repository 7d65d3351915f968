import type { MessagePort } from 'node:worker_threads'
import type { Endpoint } from 'comlink'

/** A Node MessagePort as Comlink wants it: Comlink's own adapter has no types under nodenext. */
export function createEndpoint(port: MessagePort): Endpoint {
  const listeners = new WeakMap<object, (data: unknown) => void>()
  return {
    // Comlink speaks of DOM transferables; the control path transfers none.
    postMessage: (message) => port.postMessage(message),
    addEventListener: (_type, listener) => {
      const onMessage = (data: unknown): void => {
        const event = { data } as MessageEvent // Comlink reads nothing else of it
        if ('handleEvent' in listener) listener.handleEvent(event)
        else listener(event)
      }
      port.on('message', onMessage)
      listeners.set(listener, onMessage)
    },
    removeEventListener: (_type, listener) => {
      const onMessage = listeners.get(listener)
      if (onMessage !== undefined) port.off('message', onMessage)
    },
    start: () => port.start(),
  }
}
