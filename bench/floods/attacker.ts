/**
 * Hostile clients in a process of their own. Lines on stdin: `silent COUNT`, `drip COUNT`, `hellos LANES`, `stop`, each
 * answered by a line of JSON. Arguments: port of the proxy, its host in the hellos. Also plays the fronting site, which
 * answers a whole hello with an error and hangs up, and says nothing to who says less.
 */
import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildClientHello, RANDOM_BYTES, RANDOM_OFFSET } from '../../test/support/client-hello.ts'

/** Loopback has 2^24 addresses: an attacker who has some, and not one. */
const ADDRESSES = 20
/** Opened in one go, then the event loop turns: as fast as this process can without being a queue itself. */
const BATCH = 100
/** A hello that is not answered by then is given up. */
const PATIENCE_MS = 30_000
/** Less is no hello yet. */
const ENOUGH_BYTES = 100
const KEY = Buffer.alloc(16, 0x77)

const [, , host = ''] = process.argv
const open = new Set<Socket>()
let port = 0
let opened = 0
let refused = 0
let answered = 0
let attack = new AbortController()

const site = createServer((socket) => {
  socket.on('error', () => {})
  let heardBytes = 0
  socket.on('data', (chunk: Buffer) => {
    heardBytes += chunk.length
    if (heardBytes >= ENOUGH_BYTES) socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  })
})
site.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
await once(site, 'listening')

function openOne(): Socket {
  const localAddress = `127.0.1.${1 + (opened % ADDRESSES)}`
  opened += 1
  const socket = connect({ port, host: '127.0.0.1', localAddress })
  open.add(socket)
  socket.on('error', () => {})
  socket.on('end', () => (refused += 1))
  socket.on('close', () => open.delete(socket))
  socket.resume()
  return socket
}

async function hold(
  count: number,
  { signal }: AbortController,
  say: (socket: Socket) => void,
): Promise<void> {
  for (let left = count; left > 0 && !signal.aborted; left -= BATCH) {
    for (let n = 0; n < Math.min(BATCH, left); n++) say(openOne())
    await sleep(1)
  }
}

/** A good hello begins like this; it never gets complete. */
const SLOW = buildClientHello({ key: KEY, host }).bytes
function drip(socket: Socket): void {
  let at = 0
  const timer = setInterval(() => socket.write(SLOW.subarray(at, ++at)), 1000)
  socket.on('close', () => clearInterval(timer))
}

/** As many at once as lanes; each a full search for a key that nobody has. */
async function lane({ signal }: AbortController): Promise<void> {
  const hello = Buffer.from(SLOW)
  while (!signal.aborted) {
    randomFillSync(hello, RANDOM_OFFSET, RANDOM_BYTES)
    const socket = openOne()
    socket.on('data', () => (answered += 1))
    socket.write(hello)
    const timer = setTimeout(() => socket.destroy(), PATIENCE_MS)
    await new Promise((resolve) => socket.once('close', resolve))
    clearTimeout(timer)
  }
}

function report(): void {
  process.stdout.write(`${JSON.stringify({ opened, refused, answered, held: open.size })}\n`)
}

process.stdout.write(`${JSON.stringify({ sitePort: (site.address() as AddressInfo).port })}\n`) // it listens on TCP
for await (const line of createInterface(process.stdin)) {
  const [order, text] = line.split(' ')
  const count = Number(text)
  if (order === 'port') port = count
  else if (order === 'silent') void hold(count, attack, () => {})
  else if (order === 'drip') void hold(count, attack, drip)
  else if (order === 'hellos') for (let n = 0; n < count; n++) void lane(attack)
  else if (order === 'stop') {
    attack.abort()
    attack = new AbortController()
    for (const socket of open) socket.destroy()
    report()
    opened = refused = answered = 0
  }
}
process.exit(0)
