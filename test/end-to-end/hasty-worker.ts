import serve, { type ServeTask } from '#worker/serve'

/** How fast the clock of idle limits runs. */
export const HASTE = 100n

/** The worker as it is, with a clock of limits that runs a hundred times as fast. */
export default async function serveHastily(task: ServeTask): Promise<void> {
  const readClock = process.hrtime.bigint.bind(process.hrtime)
  const startNs = readClock()
  process.hrtime.bigint = () => startNs + (readClock() - startNs) * HASTE
  await serve(task)
}
