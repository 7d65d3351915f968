import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { checkOut } from './git-worktree.ts'
import { findListeners } from './process-tree.ts'
import { parseOverride } from './proxy-config.ts'
import {
  createCheckoutSubject,
  createCommandSubject,
  createRunningSubject,
  type RunningProxyAddress,
  type Subject,
} from './subject.ts'

/**
 * What `--subject` and `--compare` take:
 *
 * - words: `key=value` for the configuration, and at most one directory of a checkout or else git revision,
 *   such as `fast-mode=false`, `main`, `HEAD~3 cipher=node`, `../other workers=4`
 * - `sh:COMMAND` that starts some proxy, see {@link createCommandSubject}
 * - `proxy:HOST:PORT,SECRET[,PID]`, one that runs
 */
export async function parseSubject(text: string): Promise<Subject> {
  if (text.startsWith('sh:')) return createCommandSubject(text, text.slice(3))
  if (text.startsWith('proxy:')) {
    const [address = '', secret = '', pid] = text.slice(6).split(',')
    return createRunningSubject(text, locateProxy(address, secret, pid))
  }
  const words = text.split(/\s+/).filter((word) => word !== '')
  const overrides = Object.fromEntries(words.filter((word) => word.includes('=')).map(parseOverride))
  const [place, ...others] = words.filter((word) => !word.includes('='))
  if (others.length > 0) throw new Error(`a checkout is one word, not ${[place, ...others].join(' ')}`)
  if (place === undefined) return createCheckoutSubject(text, { overrides })
  if (existsSync(join(place, 'packages/primary/main.ts'))) {
    return createCheckoutSubject(text, { directory: resolve(place), overrides })
  }
  const checkout = await checkOut(place)
  return createCheckoutSubject(text, { directory: checkout.directory, overrides }, checkout.remove)
}

/** Its process is the one given, or whoever listens on the port. */
export function locateProxy(address: string, secret: string, pid?: string | number): RunningProxyAddress {
  const at = address.lastIndexOf(':')
  const host = address.slice(0, Math.max(0, at)).replace(/^\[(.*)\]$/, '$1')
  const port = Number(address.slice(at + 1))
  if (host === '' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new Error(`not HOST:PORT: ${address}`)
  }
  if (pid === undefined) return { host, port, secret, pids: findListeners(port) }
  // Of one that is not there all figures would be 0.
  if (!/^\d+$/.test(String(pid)) || !existsSync(`/proc/${pid}`)) throw new Error(`no such process: ${pid}`)
  return { host, port, secret, pids: [Number(pid)] }
}
