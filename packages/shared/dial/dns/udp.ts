import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { HostPort } from '#shared/dc'
import { buildQuery, type DnsAnswer, parseAnswer, type Question } from './message.ts'
import { cancelled, type DnsTransport } from './transport.ts'

/** Datagrams get lost. The first attempt goes on beside the second, so an answer that is merely late counts too. */
const ATTEMPTS = 2
const ATTEMPT_MS = 1500
const MAX_ID = 0xffff

/**
 * DNS over UDP (RFC 1035 §4.2.1). Every attempt has a socket of its own, so the kernel picks a random port for it, and a
 * random id: who wants to forge an answer has to guess both (RFC 5452). The socket is connected, so datagrams of others
 * do not come in, and a closed port is an error at once.
 */
export class UdpTransport implements DnsTransport {
  readonly name = 'udp'
  readonly #server: HostPort

  constructor(server: HostPort) {
    this.#server = server
  }

  ask(question: Question, signal: AbortSignal): Promise<DnsAnswer> {
    return new Promise((resolve, reject) => {
      const attempts = new AbortController()
      let started = 0
      let running = 0
      let timer: NodeJS.Timeout | undefined
      const settle = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        attempts.abort()
      }
      const onAbort = (): void => {
        settle()
        reject(cancelled())
      }
      const startNext = (): void => {
        clearTimeout(timer)
        started += 1
        running += 1
        if (started < ATTEMPTS) timer = setTimeout(startNext, ATTEMPT_MS)
        askOnce(this.#server, question, attempts.signal).then(
          (answer) => {
            settle()
            resolve(answer)
          },
          (error: unknown) => {
            if (attempts.signal.aborted) return
            running -= 1
            if (started < ATTEMPTS) return startNext()
            if (running > 0) return
            settle()
            reject(error)
          },
        )
      }
      signal.addEventListener('abort', onAbort)
      if (signal.aborted) return onAbort()
      startNext()
    })
  }

  /** Nothing is kept open between questions. */
  close(): void {}
}

function askOnce(server: HostPort, question: Question, signal: AbortSignal): Promise<DnsAnswer> {
  const id = randomInt(MAX_ID + 1)
  const socket = createSocket(isIPv6(server.host) ? 'udp6' : 'udp4')
  return new Promise<DnsAnswer>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(cancelled()), { once: true })
    socket.on('error', reject)
    socket.on('message', (message) => {
      // Anything but the answer is somebody's attempt or an old answer's echo: the right one may still come.
      const answer = parseAnswer(message, id, question)
      if (answer !== null) resolve(answer)
    })
    socket.connect(server.port, server.host, () => {
      if (!signal.aborted) socket.send(buildQuery(id, question))
    })
  }).finally(() => socket.close())
}
