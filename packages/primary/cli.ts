import yargs, { type Argv } from 'yargs'

import { collectFlags, SIMPLE_RUN_FLAGS } from './commands/simple-run-flags.ts'
import { findNearest } from './config/nearest.ts'
import { ExitCode, formatFailure, getExitCode, PROGRAM, UsageError } from './exit.ts'
import { programVersion } from './version.ts'

const COMMANDS = [
  'start',
  'run',
  'simple-run',
  'generate-secret',
  'access',
  'doctor',
  'config',
  'completion',
] as const
const HELP_WIDTH = 100
/** Arguments stay as they were typed; of a flag that is repeated the last one counts. */
const PARSER_CONFIGURATION = { 'parse-positional-numbers': false, 'duplicate-arguments-array': false }

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

type Finish = (code: ExitCode) => void

function buildParser(args: readonly string[], finish: Finish): Argv {
  const parser = yargs([...args])
    .scriptName(PROGRAM)
    .locale('en')
    .detectLocale(false)
    .parserConfiguration(PARSER_CONFIGURATION)
    .exitProcess(false)
    .strict()
    .showHelpOnFail(false)
    .fail((message, error) => {
      // Some of the parser's own complaints come as errors of its own, all others are ours.
      throw error !== undefined && error.name !== 'YError'
        ? error
        : new UsageError(explainUsage(message ?? error?.message ?? '', args))
    })
    .version(`${programVersion()} (node ${process.versions.node} ${process.platform}-${process.arch})`)
    .alias({ v: 'version', h: 'help' })
    .wrap(HELP_WIDTH)
    .usage(`${PROGRAM} [command]\n\nA proxy for Telegram on all cores, with a secret for each user.`)
    .epilogue(
      'Exit codes: 0 stopped as asked, 1 cannot start or go on, 80 wrong usage or no such config file.',
    )
  addServingCommands(parser, finish)
  addSecretCommands(parser, finish)
  addCheckingCommands(parser, finish)
  // Not `parser.completion()`: after the script it would go on to the default command, and start the proxy.
  return parser.command(
    'completion',
    'Print a script that completes commands and flags in bash or zsh',
    (command) => command,
    () => {
      parser.showCompletionScript()
    },
  )
}

function addServingCommands(parser: Argv, finish: Finish): void {
  parser
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
      addConfigPath,
      async (parsed) => finish(await (await import('./commands/run.ts')).run(parsed['config-path'])),
    )
    .command(
      'simple-run <bind-to> <secret>',
      'Start without a file. Other users of this host see the command line: env:NAME and file:/path keep the secret ' +
        'out of it',
      (command) =>
        command
          // Flags may be repeated, and end before the next word.
          .parserConfiguration({
            ...PARSER_CONFIGURATION,
            'duplicate-arguments-array': true,
            'greedy-arrays': false,
          })
          .positional('bind-to', { type: 'string', demandOption: true, describe: 'Address with port' })
          .positional('secret', { type: 'string', demandOption: true, describe: 'Of the only user' })
          .options(SIMPLE_RUN_FLAGS),
      async (parsed) => {
        const { runSimpleRun } = await import('./commands/simple-run.ts')
        const { 'bind-to': bindTo, secret, ...flags } = parsed
        finish(await runSimpleRun({ bindTo, secret, ...collectFlags(flags) }))
      },
    )
}

function addSecretCommands(parser: Argv, finish: Finish): void {
  parser
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
    .command(
      'access <config-path>',
      'Print the links of the users as JSON',
      (command) =>
        addConfigPath(command)
          .option('ipv4', { alias: 'i', type: 'string', requiresArg: true, describe: 'Public IPv4 address' })
          .option('ipv6', { alias: 'I', type: 'string', requiresArg: true, describe: 'Public IPv6 address' })
          .option('port', { alias: 'p', type: 'number', requiresArg: true, describe: 'Public port' })
          .option('hex', { alias: 'x', type: 'boolean', default: false, describe: 'Secrets in hex' })
          .option('user', { type: 'string', requiresArg: true, describe: 'Only this user' })
          .option('qr', {
            type: 'string',
            requiresArg: true,
            describe: 'Write the QR code of the link to this .svg or .png file',
          }),
      async (parsed) => {
        const { runAccess } = await import('./commands/access.ts')
        const { ipv4, ipv6, port, user, qr } = parsed
        const code = await runAccess({
          configPath: parsed['config-path'],
          hex: parsed.hex,
          ...(ipv4 === undefined ? {} : { ipv4 }),
          ...(ipv6 === undefined ? {} : { ipv6 }),
          ...(port === undefined ? {} : { port }),
          ...(user === undefined ? {} : { user }),
          ...(qr === undefined ? {} : { qr }),
        })
        finish(code)
      },
    )
}

function addCheckingCommands(parser: Argv, finish: Finish): void {
  parser
    .command(
      'doctor <config-path>',
      'Check clock, Telegram, fronting hosts and DNS from this machine',
      (command) =>
        addConfigPath(command)
          .option('json', { type: 'boolean', default: false, describe: 'One JSON object instead of text' })
          .option('skip-native-check', {
            type: 'boolean',
            default: false,
            describe: 'Do not reach for Telegram directly',
          }),
      async (parsed) => {
        const { runDoctor } = await import('./commands/doctor.ts')
        const { json, 'skip-native-check': skipNativeCheck } = parsed
        finish(await runDoctor({ configPath: parsed['config-path'], json, skipNativeCheck }))
      },
    )
    .command(
      'config <action> <config-path>',
      'config check: tell every problem of a file, and what would hold, secrets masked',
      (command) =>
        addConfigPath(
          command.positional('action', {
            choices: ['check'] as const,
            demandOption: true,
            describe: 'What to do',
          }),
        ).option('json', { type: 'boolean', default: false, describe: 'One JSON object instead of TOML' }),
      async (parsed) => {
        const { runConfigCheck } = await import('./commands/config-check.ts')
        finish(await runConfigCheck({ configPath: parsed['config-path'], json: parsed.json }))
      },
    )
}

function addConfigPath<T>(command: Argv<T>): Argv<T & { 'config-path': string }> {
  return command.positional('config-path', { type: 'string', demandOption: true, describe: 'TOML file' })
}

/** The parser's own sentences that a reader would have to guess at, in plain words. */
function explainUsage(message: string, args: readonly string[]): string {
  if (message.startsWith('Not enough non-option arguments')) {
    // A flag that the parser does not know takes the word behind it along.
    const flag = args.find((arg) => arg.startsWith('--'))
    const taken = flag === undefined ? '' : `, or ${flag} is no flag and took it`
    const command = COMMANDS.find((name) => name === args[0])
    return `an argument is missing${taken}: see ${PROGRAM} ${command === undefined ? '' : `${command} `}--help`
  }
  const [, valueless] = /^Not enough arguments following: (.*)/.exec(message) ?? []
  if (valueless !== undefined)
    return `${valueless.length > 1 ? '--' : '-'}${valueless}: expected a value behind it`
  const [, name, given, choices] = /Argument: (.*), Given: (.*), Choices: (.*)/.exec(message) ?? []
  if (name !== undefined) return `${name}: found ${given}, expected ${choices}`
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
