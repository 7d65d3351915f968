import { randomBytes, randomInt } from 'node:crypto'
import type { Socket } from 'node:net'

import { formatHostPort, type HostPort } from '#shared/dc'
import type { DcProbeResult, DcProbeTask } from '#shared/dc-probe'
import { dialFirst } from '#shared/dial/dial'
import { openThrough } from '#shared/dial/open-through'
import { DialError } from '#shared/errors'

import type { CtrStream } from '../obfuscated2/ctr-stream.ts'
import { greetDc } from '../obfuscated2/handshake.ts'
import { NodeCiphers } from '../obfuscated2/node-ciphers.ts'
import { buildReqPqMulti, checkResPq, NONCE_BYTES } from './req-pq.ts'

const MAX_PADDING_BYTES = 15

/**
 * Piscina task: reach a data centre as the proxy would, and let it answer one request (operator.md §3). The addresses
 * are tried like those of a client's connection: the next one when one fails or keeps silent for a moment.
 */
export default async function probeDc(task: DcProbeTask): Promise<DcProbeResult> {
  const deadline = AbortSignal.timeout(task.budgetMs)
  const reasons: string[] = []
  try {
    const { connection: rttMs, address } = await dialFirst({
      addresses: task.addresses,
      // The budget ends every attempt before this does.
      timeoutMs: task.budgetMs * 2,
      signal: new AbortController().signal,
      connect: (address, signal) =>
        probeAddress(address, task, AbortSignal.any([signal, deadline]), deadline),
      discard: () => {},
      onFailure: (_, error) => reasons.push(error.message),
    })
    return { ok: true, address, rttMs }
  } catch (error) {
    return { ok: false, reasons: reasons.length > 0 ? reasons : [(error as DialError).message] } // all dialFirst throws
  }
}

/** The time from the request to the whole answer. */
async function probeAddress(
  address: HostPort,
  task: DcProbeTask,
  signal: AbortSignal,
  deadline: AbortSignal,
): Promise<number> {
  let stage = 'tcp connect to'
  let socket: Socket | null = null
  try {
    socket = await openThrough(task.upstream, address, signal)
    stage = 'rpc handshake to'
    return await exchange(socket, task.dc, signal)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const isLate = deadline.aborted
    throw new DialError(
      isLate ? 'timeout' : 'failed',
      `${stage} ${formatHostPort(address)}: ${isLate ? `no answer within ${task.budgetMs} ms` : reason}`,
      { cause },
    )
  } finally {
    socket?.destroy()
  }
}

function exchange(socket: Socket, dc: number, signal: AbortSignal): Promise<number> {
  const ciphers = new NodeCiphers() // what nobody holds any more is collected
  const { wire, up, downKey } = greetDc(dc, randomBytes, null, ciphers)
  const nonce = randomBytes(NONCE_BYTES)
  const request = buildReqPqMulti(nonce, nextMessageId(), randomBytes(randomInt(MAX_PADDING_BYTES + 1)))
  const sentAtMs = performance.now()
  up.transform(request, request, 0)
  socket.write(Buffer.concat([wire, request]))
  return waitForResPq(socket, ciphers.open(downKey), nonce, signal).then(() => performance.now() - sentAtMs)
}

function waitForResPq(socket: Socket, down: CtrStream, nonce: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0)
    // No encoding is set: chunks are Buffers.
    socket.on('data', (chunk: Buffer) => {
      down.transform(chunk, chunk, 0)
      received = Buffer.concat([received, chunk])
      const result = checkResPq(received, nonce)
      if (result === 'incomplete') return
      if (result.ok) resolve()
      else reject(new Error(result.reason))
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed without an answer')))
    signal.addEventListener('abort', () => reject(new Error('cancelled')), { once: true })
    if (signal.aborted) reject(new Error('cancelled'))
  })
}

/** Unix time in the upper half; the lower bits of a client's are a multiple of 4. */
function nextMessageId(): bigint {
  return ((BigInt(Date.now()) << 32n) / 1000n / 4n) * 4n
}
