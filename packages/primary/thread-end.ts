import { setTimeout as sleep } from 'node:timers/promises'
import { BugError } from '#shared/errors'

/** JavaScript ends within milliseconds of being told to. What does not is stuck in a call of the system. */
const END_LIMIT_MS = 5000

/** Why a thread that did nothing any more was ended. */
export class HungThreadError extends Error {
  constructor(silentMs: number) {
    super(`it has done nothing for ${Math.round(silentMs / 1000)} s`)
    this.name = 'HungThreadError'
  }
}

/** A thread that runs on although it was ended: its rows cannot be used again, nobody gets its clients back. */
export class StuckThreadError extends BugError {
  constructor(worker: number, cause: HungThreadError) {
    super(`worker thread ${worker} cannot be ended, it is stuck in a call of the system: ${cause.message}`, {
      cause,
    })
    this.name = 'StuckThreadError'
  }
}

/**
 * Wait for threads that were told to end. One that cannot be ended keeps its clients hanging and its memory, and even the
 * end of the process would wait for it, for ever: that is arranged to be a kill then.
 * @param gone settles when nothing is left of them
 * @returns whether they have ended
 */
export async function endOrAbandon(gone: Promise<unknown>): Promise<boolean> {
  const limit = new AbortController()
  const inTime = gone.then(
    () => true,
    () => true,
  )
  const late = sleep(END_LIMIT_MS, false, { signal: limit.signal }).catch(() => false)
  const isGone = await Promise.race([inTime, late])
  limit.abort()
  if (!isGone) process.once('exit', () => process.kill(process.pid, 'SIGKILL'))
  return isGone
}
