import type { ExitCode } from '#primary/exit'

import { readConfigFile } from './read-config-file.ts'
import { serve } from './serve.ts'

/** `run <config-path>`: the command for services. Logs JSON lines on stdout and prints nothing else. */
export async function run(configPath: string): Promise<ExitCode> {
  return serve(await readConfigFile(configPath))
}
