import { IpFilter, type IpFilterValues, type IpVerdict } from '#shared/ip-filter'
import serve, { type ServeTask } from '#worker/serve'

/** What the worker's own filter says of 127.0.0.1. */
export interface ToldVerdict {
  readonly thread: number
  readonly verdict: IpVerdict
}

/** The worker as it is, telling what it would say to a loopback client whenever its IP lists have changed. */
export default async function serveAndTell(task: ServeTask): Promise<void> {
  const channel = new BroadcastChannel('ip-filter-worker')
  const tell = (filter: IpFilter): void => {
    const told: ToldVerdict = { thread: task.boot.thread, verdict: filter.check('127.0.0.1') }
    channel.postMessage(told)
  }
  tell(new IpFilter(task.boot.ipFilter))
  // There is one filter in a worker, and it is reached by nobody from outside.
  const set: (this: IpFilter, values: IpFilterValues) => void = Reflect.get(IpFilter.prototype, 'set')
  IpFilter.prototype.set = function setAndTell(values) {
    set.call(this, values)
    tell(this)
  }
  await serve(task)
  channel.close()
}
