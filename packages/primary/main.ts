#!/usr/bin/env node
import { isSupportedNode, SUPPORTED_NODE } from './node-version.ts'

// Nothing but the check may be imported before it: an older Node would fail on the rest with a stack trace.
if (isSupportedNode(process.versions.node)) {
  const { runCli } = await import('./cli.ts')
  // Ends whatever still runs: a command that has returned is over.
  process.exit(await runCli(process.argv.slice(2)))
} else {
  process.stderr.write(
    `mtg-multi: error: Node ${process.versions.node} is not supported: install ${SUPPORTED_NODE} (https://nodejs.org)\n`,
  )
  process.exitCode = 1
}
