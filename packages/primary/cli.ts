import yargs, { type Argv } from 'yargs'

import { findNearest } from './config/nearest.ts'
import { ExitCode, formatFailure, getExitCode, PROGRAM, UsageError } from './exit.ts'
import { programVersion } from './version.ts'

const COMMANDS = ['start', 'run', 'generate-secret'] as const
const HELP_WIDTH = 100

/**
 * Parse the command line and do what it says. Commands are loaded when they are asked for: `generate-secret` and
 * `--help` do not wait for the proxy.
 * @returns the exit code; what went wrong has been written to stderr by then
 */
export async function runCli(args: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = ExitCode.ok
  const finish = (code: ExitCode): void => {
    exitCode = code
  }
  try {
    refuseUnknownCommand(args)
    await buildParser(args, finish).parseAsync()
    return exitCode
  } catch (error) {
    process.stderr.write(formatFailure(error))
    return getExitCode(error)
  }
}

function buildParser(args: readonly string[], finish: (code: ExitCode) => void): Argv {
  return yargs([...args])
    .scriptName(PROGRAM)
    .locale('en')
    .detectLocale(false)
    .parserConfiguration({ 'parse-positional-numbers': false, 'duplicate-arguments-array': false })
    .exitProcess(false)
    .strict()
    .showHelpOnFail(false)
    .fail((message, error) => {
      throw error ?? new UsageError(explainUsage(message))
    })
    .version(`${programVersion()} (node ${process.versions.node} ${process.platform}-${process.arch})`)
    .alias({ v: 'version', h: 'help' })
    .wrap(HELP_WIDTH)
    .usage(`${PROGRAM} [command]\n\nA proxy for Telegram on all cores, with a secret for each user.`)
    .command(
      ['start', '$0'],
      'Start with ./config.toml, made if there is none, and show the links of the users: on stdout if it is a ' +
        'terminal, else on stderr, where they do not disturb the log',
      (command) => command,
      async () => finish(await (await import('./commands/start.ts')).start()),
    )
    .command(
      'run <config-path>',
      'Start with this file. Logs JSON lines on stdout',
      (command) =>
        command.positional('config-path', { type: 'string', demandOption: true, describe: 'TOML file' }),
      async (parsed) => finish(await (await import('./commands/run.ts')).run(parsed['config-path'])),
    )
    .command(
      'generate-secret <hostname>',
      'Print a new secret for a host name, such as storage.googleapis.com',
      (command) =>
        command
          .positional('hostname', { type: 'string', demandOption: true, describe: 'DNS name' })
          .option('hex', { alias: 'x', type: 'boolean', default: false, describe: 'Hex instead of base64' }),
      async (parsed) => {
        const { generateSecretText } = await import('./commands/generate-secret.ts')
        process.stdout.write(`${generateSecretText(parsed.hostname, { hex: parsed.hex })}\n`)
      },
    )
    .epilogue(
      'Exit codes: 0 stopped as asked, 1 cannot start or go on, 80 wrong usage or no such config file.',
    )
}

/** The parser's own sentences that a reader would have to guess at, in plain words. */
function explainUsage(message: string): string {
  if (message.startsWith('Not enough non-option arguments'))
    return `an argument is missing: see ${PROGRAM} --help`
  return message.replace(/^Unknown arguments?:/, 'unexpected argument:')
}

/** The parser takes an unknown command for an argument of the default one, which hides the mistake. */
function refuseUnknownCommand(args: readonly string[]): void {
  const [first] = args
  if (first === undefined || first.startsWith('-') || COMMANDS.some((command) => command === first)) return
  const nearest = findNearest(first, COMMANDS)
  const hint = nearest === undefined ? `see ${PROGRAM} --help` : `did you mean "${nearest}"?`
  throw new UsageError(`unknown command "${first}": ${hint}`)
}
