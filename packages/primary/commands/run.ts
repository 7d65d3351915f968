import type { ExitCode } from '#primary/exit'

import { readConfigFile } from './read-config-file.ts'
import { serve } from './serve.ts'

const STDOUT = 1

/** `run <config-path>`: the command for services. Logs JSON lines on stdout and prints nothing else. */
export async function run(configPath: string): Promise<ExitCode> {
  const file = await readConfigFile(configPath)
  const level = file.config.debug ? 'debug' : 'info'
  return serve(file, { log: { level, destination: STDOUT, pretty: false } })
}
