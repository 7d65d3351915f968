import { FAIR, LIMIT } from '#shared/state/ledger-layout'
import serve, { type ServeTask } from '#worker/serve'

/** The worker entry for tests of refusals: the proxy is full, and nobody's fair share is more than nothing. */
export default function serveNobody(task: ServeTask): Promise<void> {
  const cells = new Int32Array(task.boot.ledger.buffer)
  Atomics.store(cells, LIMIT, 0)
  Atomics.store(cells, FAIR, 0)
  return serve(task)
}
