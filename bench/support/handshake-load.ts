import { once } from 'node:events'

import { buildClientHello } from '../../test/support/client-hello.ts'
import { connectRaw } from '../../test/support/faketls-client.ts'
import { PURPOSE } from './data-centre-behaviours.ts'
import { type LineOptions, openLine } from './line.ts'
import type { LoadReport, LoadTarget, ReportProgress } from './scenario.ts'

/** A first MTProto message is about so long. */
const MESSAGE = Buffer.alloc(200, 0x2a)
/** A hello that is not answered by then is given up. */
const PATIENCE_MS = 20_000

export interface HandshakeLoad {
  readonly count: number
  /** No more are begun after so long; no limit unless given. */
  readonly seconds?: number
  /** Under way at once. */
  readonly connections: number
  /** Who comes, and from where, as number so-and-so. */
  readonly each: (number: number) => Pick<LineOptions, 'secret' | 'localAddress'>
  readonly progress?: ReportProgress
}

/** Whole connections: handshake, one message echoed and compared, close. */
export function shakeHands(target: LoadTarget, load: HandshakeLoad): Promise<LoadReport> {
  return runLanes(load, async (number) => {
    const line = await openLine(target, {
      purpose: PURPOSE.echo,
      firstPayload: MESSAGE,
      ...load.each(number),
    })
    const echoed = Promise.withResolvers<void>()
    const parts: Buffer[] = []
    let bytes = 0
    line.onClose = echoed.reject
    line.onPayload = (payload) => {
      parts.push(line.decrypt(payload))
      bytes += payload.length
      if (bytes < MESSAGE.length) return
      if (Buffer.concat(parts).equals(MESSAGE)) echoed.resolve()
      else echoed.reject(new Error('the echo differs'))
    }
    const timer = setTimeout(() => echoed.reject(new Error('no echo')), PATIENCE_MS)
    await echoed.promise
    clearTimeout(timer)
    line.close()
  })
}

/** Hellos that nobody signed, until the proxy, or the site that it shows, hangs up. */
export function sendStrangeHellos(
  target: LoadTarget,
  host: string,
  load: HandshakeLoad,
): Promise<LoadReport> {
  return runLanes(load, async (number) => {
    const { localAddress } = load.each(number)
    const socket = await connectRaw({
      host: target.host,
      port: target.port,
      ...(localAddress === undefined ? {} : { localAddress }),
    })
    const timer = setTimeout(() => socket.destroy(), PATIENCE_MS)
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    const closed = once(socket, 'close')
    socket.resume().write(buildClientHello({ key: Buffer.alloc(16, 0x77), host }).bytes)
    await closed
    clearTimeout(timer)
  })
}

async function runLanes(
  { count, connections, seconds = Number.POSITIVE_INFINITY, progress }: HandshakeLoad,
  run: (number: number) => Promise<void>,
): Promise<LoadReport> {
  const startedAt = performance.now()
  const endsAt = startedAt + seconds * 1000
  let started = 0
  const lane = async (): Promise<void> => {
    while (started < count && performance.now() < endsAt) {
      started += 1
      await run(started - 1)
      progress?.(Math.max(started / count, (performance.now() - startedAt) / (seconds * 1000)))
    }
  }
  await Promise.all(Array.from({ length: Math.min(connections, count) }, lane))
  return { units: started, wallSeconds: (performance.now() - startedAt) / 1000 }
}
