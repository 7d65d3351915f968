import { isMainThread } from 'node:worker_threads'

/**
 * For `node --import`: a promise that rejects with nobody there to see it fails the file it happens in. The runner does so
 * by itself only while the test runs that made it.
 */
// Not in the threads of a proxy, which inherit this: there a listener would keep a rejection from ending the thread.
if (isMainThread)
  process.on('unhandledRejection', (reason) => {
    process.exitCode = 1
    process.stderr.write(
      `a promise rejected unhandled: ${reason instanceof Error ? reason.stack : String(reason)}\n`,
    )
  })
