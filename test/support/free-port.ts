import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Below the range from which systems take ports for outgoing connections and for port 0 (Linux: 32768 and up): what is
 * free there does not go to the next client of some test that runs at the same time.
 */
const FIRST = 15_000
const LAST = 32_000
const ATTEMPTS = 50

/** A port of 127.0.0.1 that was free a moment ago, for what cannot tell which one it got. */
export async function findFreePort(): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = randomInt(FIRST, LAST)
    // As the proxy would, which also finds those who listen on all addresses.
    const server = createServer().listen({ host: '127.0.0.1', port, exclusive: true })
    try {
      await once(server, 'listening')
    } catch (error) {
      if (attempt < ATTEMPTS) continue
      throw error
    }
    server.close()
    await once(server, 'close')
    return port
  }
}
