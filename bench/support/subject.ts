import { findFreePort } from '../../test/support/free-port.ts'
import { DEFAULT_WORKERS, type ProxyOptions, startProgram, startProxy } from './proxy-process.ts'
import type { ProxyAddress } from './scenario.ts'
import { buildSecret } from './secrets.ts'

/** What is measured: something that can be started, or a proxy that runs already. */
export interface Subject {
  /** As it was written on the command line. */
  readonly name: string
  start(setUp: SetUp): Promise<RunningSubject>
  /** Removes what was made for it. */
  dispose(): Promise<void>
}

export interface SetUp {
  readonly dcPort: number
  readonly socksPort: number
  /** Of the subject's own configuration unless given. */
  readonly workers?: number
  /** Of one host. */
  readonly secretCount: number
}

export interface RunningSubject extends ProxyAddress {
  readonly seed: string | null
  /** Whose processor time and memory it is; empty when nobody knows. */
  readonly pids: readonly number[]
  stop(): Promise<void>
}

/** A checkout of this program, with a configuration of the bench or, as `base`, of an operator. */
export function createCheckoutSubject(
  name: string,
  options: Pick<ProxyOptions, 'directory' | 'overrides' | 'base'>,
  dispose: () => Promise<void> = async () => {},
): Subject {
  return {
    name,
    async start({ dcPort, workers, secretCount }) {
      const proxy = await startProxy({
        ...options,
        dcPort,
        users: secretCount,
        ...(workers === undefined ? {} : { workers }),
      })
      return { ...proxy, pids: [proxy.pid] }
    },
    dispose,
  }
}

/**
 * A shell command that starts some proxy in the foreground. In its words `{port}`, `{secret}`, `{key}` (the 32 digits of the
 * secret), `{dc-port}`, `{socks-port}`, `{workers}`, `{dir}` (a directory of its own, removed afterwards) and `{secrets-file}` (one secret a line) are put in.
 */
export function createCommandSubject(name: string, template: string): Subject {
  return {
    name,
    async start({ dcPort, socksPort, workers = DEFAULT_WORKERS, secretCount }) {
      if (secretCount > 1 && !template.includes('{secrets-file}')) {
        throw new Error(`${name} has one secret: say --secrets 1, or use {secrets-file}`)
      }
      const port = await findFreePort()
      const seed = `${process.pid} ${port}`
      const secrets = Array.from({ length: secretCount }, (_, number) => buildSecret(seed, number))
      const secret = secrets[0] ?? ''
      const program = await startProgram({
        port,
        files: { secrets: secrets.map((each) => `${each}\n`).join('') },
        command: (file) => [
          '/bin/sh',
          '-c',
          fillIn(template, {
            port,
            secret,
            key: secret.slice(2, 34),
            workers,
            'dc-port': dcPort,
            'socks-port': socksPort,
            'secrets-file': file('secrets'),
            dir: file('.'),
          }),
        ],
      })
      return { host: '127.0.0.1', port, secret, seed, pids: [program.pid], stop: () => program.stop() }
    },
    async dispose() {},
  }
}

/** Throws at a name that there is not. */
export function fillIn(template: string, values: Readonly<Record<string, string | number>>): string {
  return template.replaceAll(/\{([a-z-]+)\}/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`no {${name}}, there are ${Object.keys(values).join(', ')}`)
    return String(value)
  })
}

export interface RunningProxyAddress extends ProxyAddress {
  readonly pids: readonly number[]
}

/** A proxy that somebody else has started and will stop. */
export function createRunningSubject(name: string, address: RunningProxyAddress): Subject {
  return {
    name,
    start: async () => ({ ...address, seed: null, async stop() {} }),
    async dispose() {},
  }
}
