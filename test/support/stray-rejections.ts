/**
 * For `node --import`: a promise that rejects with nobody there to see it fails the file it happens in. The runner does so
 * by itself only while the test runs that made it.
 */
process.on('unhandledRejection', (reason) => {
  process.exitCode = 1
  process.stderr.write(
    `a promise rejected unhandled: ${reason instanceof Error ? reason.stack : String(reason)}\n`,
  )
})
