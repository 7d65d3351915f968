import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Below the range from which systems take ports for outgoing connections and for port 0 (Linux: 32768 and up): what is
 * free there does not go to the next client of some test that runs at the same time.
 */
const FIRST = 15_000
const LAST = 32_000
const ATTEMPTS = 50
/** Nobody sends anything there. */
const RESERVATIONS = '127.255.255.254'

/**
 * A port of 127.0.0.1 that is free, for what cannot tell which one it got, or wants one where nobody listens. Until the
 * end of this process no other test gets it: files of tests run side by side, and ask for some hundred of them.
 */
export async function findFreePort(): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = randomInt(FIRST, LAST)
    // As the proxy would, which also finds those who listen on all addresses.
    const server = createServer()
    try {
      await reserve(port)
      await once(server.listen({ host: '127.0.0.1', port, exclusive: true }), 'listening')
    } catch (error) {
      if (attempt < ATTEMPTS) continue
      throw error
    }
    server.close()
    await once(server, 'close')
    return port
  }
}

/** The mark is a UDP socket of the same number, which goes with the process, however that ends. @throws when there is one */
async function reserve(port: number): Promise<void> {
  const mark = createSocket('udp4').unref()
  mark.bind({ port, address: RESERVATIONS, exclusive: true })
  try {
    await once(mark, 'listening')
  } catch (error) {
    mark.close()
    // Systems that have no such address do without.
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') throw error
  }
}
