/**
 * Loaded into the program before its main.ts (`node --import`): its worker threads take orders to die, and its parent
 * can ask how it fares inside. Nothing of the program knows about it.
 */
import { registerHooks } from 'node:module'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'
import type { Fault, Faults } from '../support/faults.ts'

export type Order =
  | { readonly id: number; readonly kind: 'attach'; readonly proxyPort: number }
  | { readonly id: number; readonly kind: 'measure'; readonly threads: number }
  | { readonly id: number; readonly kind: 'inject'; readonly thread: number; readonly fault: Fault }

/** How the program fares, main thread first where it is an array. */
export interface Vitals {
  /** JavaScript heaps after a full collection, bytes. */
  readonly heapBytes: readonly number[]
  /** What keeps each thread alive (process.getActiveResourcesInfo), by kind. */
  readonly resources: readonly Readonly<Record<string, number>>[]
  /** Of the main thread since the last time it was asked, milliseconds. */
  readonly loopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number }
}

export type Answer = { readonly id: number; readonly vitals: Vitals | null }

if (isMainThread && process.channel) await attendToParent(process.channel)

async function attendToParent(channel: { unref(): void }): Promise<void> {
  const support = await import('../support/faults.ts')
  const { countResources, measureHeap } = await import('../support/process-state.ts')
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === '#worker/serve' && context.parentURL?.endsWith('/worker-pool.ts')
        ? { url: support.FAULTY_SERVE, shortCircuit: true }
        : next(specifier, context),
  })
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  let faults: Faults | null = null

  const measure = async (threads: number): Promise<Vitals> => {
    const loopDelayMs = readDelay(delay)
    delay.reset()
    const resources = [countResources()]
    const heapBytes = [measureHeap()]
    for (let thread = 0; thread < threads; thread++) {
      resources.push((await faults?.countResources(thread)) ?? {})
      heapBytes.push((await faults?.measureHeap(thread)) ?? 0)
    }
    return { heapBytes, resources, loopDelayMs }
  }
  const obey = async (order: Order): Promise<Vitals | null> => {
    switch (order.kind) {
      case 'attach':
        faults = new support.Faults(order.proxyPort, { remembersPlacements: false })
        return null
      case 'inject':
        faults?.inject(order.thread, order.fault)
        return null
      case 'measure':
        return measure(order.threads)
    }
  }
  process.on('message', (order: Order) => {
    void obey(order).then((vitals) => process.send?.({ id: order.id, vitals } satisfies Answer))
  })
  process.on('disconnect', () => process.exit(1)) // nobody would stop it any more
  channel.unref()
}

function readDelay(delay: ReturnType<typeof monitorEventLoopDelay>): Vitals['loopDelayMs'] {
  const ms = (nanoseconds: number): number => Math.round(nanoseconds / 1e5) / 10
  return { p50: ms(delay.percentile(50)), p99: ms(delay.percentile(99)), max: ms(delay.max) }
}
