import { writeFile } from 'node:fs/promises'

import type { ExitCode } from '#primary/exit'
import type { RunningProxy } from '#primary/proxy'
import { OperatorError } from '#shared/errors'

import { buildFirstConfig } from './first-config.ts'
import { findLocalIpv4, formatLinks } from './links.ts'
import { readConfigFile } from './read-config-file.ts'
import { serve } from './serve.ts'
import { errorCode } from '#primary/error-code'

const CONFIG_PATH = 'config.toml'
/** The file holds keys: nobody but its owner reads it. */
const OWNER_ONLY = 0o600
/** What terminals that do not tell their width have. */
const DEFAULT_COLUMNS = 80

/**
 * The program without arguments, for people: makes `config.toml` if there is none, starts the proxy with it, and shows
 * the links. On a terminal everything goes to stdout, the log in a readable form. Otherwise stdout stays JSON lines and
 * the links go to stderr.
 */
export async function start(): Promise<ExitCode> {
  const output = process.stdout.isTTY ? process.stdout : process.stderr
  if (await createFirstConfig()) output.write(`made ${CONFIG_PATH} with one user and a fresh secret\n`)
  const file = await readConfigFile(CONFIG_PATH)
  return serve(file, {
    pretty: process.stdout.isTTY,
    onListening: (proxy) => output.write(formatLinks(file.config, describeSurroundings(proxy, output))),
  })
}

/** Exclusively: a file that appears in the same moment is never overwritten. */
async function createFirstConfig(): Promise<boolean> {
  try {
    await writeFile(CONFIG_PATH, buildFirstConfig(), { flag: 'wx', mode: OWNER_ONLY })
    return true
  } catch (error) {
    const code = errorCode(error)
    if (code === 'EEXIST') return false
    throw new OperatorError(
      `cannot create ${CONFIG_PATH} in this directory (${code || String(error)}): change to one you may write to, ` +
        'or name a file: mtg-multi run <config-path>',
      { cause: error },
    )
  }
}

function describeSurroundings(
  proxy: RunningProxy,
  output: NodeJS.WriteStream,
): Parameters<typeof formatLinks>[1] {
  const [listening = { host: '0.0.0.0', port: 0 }] = proxy.listening
  return {
    listening,
    columns: output.isTTY ? (output.columns ?? DEFAULT_COLUMNS) : null,
    localIpv4: findLocalIpv4(),
  }
}
