import { isMainThread } from 'node:worker_threads'

/**
 * For `node --import`: a promise that rejects with nobody there to see it fails the file it happens in. The runner does so
 * by itself only while the test runs that made it. Threads inherit the option: theirs are to die of it, as in production.
 */
function tell(reason: unknown): void {
  process.exitCode = 1
  process.stderr.write(
    `a promise rejected unhandled: ${reason instanceof Error ? reason.stack : String(reason)}\n`,
  )
}

if (isMainThread) process.on('unhandledRejection', tell)
