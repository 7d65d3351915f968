import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { access, mkdir, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import type { Logger } from 'pino'
import { MAX_SOURCE_BYTES, type Validators } from './fetch-list.ts'
import { readFileText } from './read-file.ts'

/** The first line of a copy. A comment to the parser, so that the file is a list as it stands. */
const HEADER = '#mtg-multi '
/** Two header fields of a server, which Node cuts at 16 KiB together with all others. */
const MAX_HEADER_BYTES = 32 * 1024
/** What may stand in a header field that we send (RFC 9110 §5.5). */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]{1,8192}$/
/** Copies of URLs that nobody has asked for so long are removed. Longer than `update-each` can be. */
const MAX_UNUSED_MS = 60 * 24 * 3_600_000
const COPY_NAME = /^[0-9a-f]{32}\.iplist(?:\.[0-9a-f]+\.tmp)?$/
/** The URL may hold a token, and the list says whom the operator lets in. */
const OWNER_ONLY = { file: 0o600, directory: 0o700 } as const

export interface CachedList {
  readonly text: Buffer
  readonly validators: Validators
}

/** Downloads as they came, kept over restarts: one file for each URL. Without a directory it keeps nothing. */
export class ListCache {
  readonly #candidates: readonly string[]
  readonly #log: Logger
  #directory: Promise<string | null> | null
  #hasWritten: boolean
  #isFailing: boolean

  /** @param candidates the first one that can be written to is used, and looked for when it is needed first */
  constructor(candidates: readonly string[], log: Logger) {
    this.#candidates = candidates
    this.#log = log
    this.#directory = null
    this.#hasWritten = false
    this.#isFailing = false
  }

  /** null when there is no copy that could be used. */
  async read(url: string): Promise<CachedList | null> {
    const path = await this.#path(url)
    if (path === null) return null
    try {
      const file = await readFileText(path, MAX_SOURCE_BYTES + MAX_HEADER_BYTES)
      const cached = file === null ? null : parseCopy(file.text)
      if (cached !== null) await this.touch(url)
      return cached
    } catch {
      return null // not there, as a rule
    }
  }

  /** A copy that cannot be written is said once, and is no failure of the list. */
  async write(url: string, { text, validators }: CachedList): Promise<void> {
    const path = await this.#path(url)
    if (path === null) return
    const draft = `${path}.${randomBytes(6).toString('hex')}.tmp`
    const header = Buffer.from(`${HEADER}${JSON.stringify(validators)}\n`)
    try {
      await writeFile(draft, [header, text], { flag: 'wx', mode: OWNER_ONLY.file, flush: true })
      await rename(draft, path)
      this.#isFailing = false
      if (!this.#hasWritten) await prune(dirname(path))
      this.#hasWritten = true
    } catch (error) {
      await rm(draft, { force: true }).catch(() => {})
      if (!this.#isFailing) this.#log.warn({ error, path }, 'cannot keep a copy of an ip list on disk')
      this.#isFailing = true
    }
  }

  /** The copy is still what the server has. */
  async touch(url: string): Promise<void> {
    const path = await this.#path(url)
    const now = new Date()
    if (path !== null) await utimes(path, now, now).catch(() => {})
  }

  async #path(url: string): Promise<string | null> {
    this.#directory ??= this.#findDirectory()
    const directory = await this.#directory
    const name = createHash('sha256').update(url).digest('hex').slice(0, 32)
    return directory === null ? null : join(directory, `${name}.iplist`)
  }

  async #findDirectory(): Promise<string | null> {
    for (const candidate of this.#candidates) {
      try {
        await mkdir(candidate, { recursive: true, mode: OWNER_ONLY.directory })
        await access(candidate, constants.R_OK | constants.W_OK | constants.X_OK)
        return candidate
      } catch {
        // The next one, then.
      }
    }
    this.#log.warn(
      { tried: this.#candidates },
      'no directory for copies of ip lists: they are in memory only, and gone after a restart',
    )
    return null
  }
}

/**
 * Where copies may be kept: what systemd gives (`CacheDirectory=`), beside the state file, and the user's cache.
 * @param stateFile absolute path, or null
 */
export function listCacheDirectories(stateFile: string | null, env: NodeJS.ProcessEnv): readonly string[] {
  const candidates: string[] = []
  const [ofService] = (env['CACHE_DIRECTORY'] ?? '').split(':') // of several the first one
  if (ofService !== undefined && isAbsolute(ofService)) candidates.push(ofService)
  if (stateFile !== null) candidates.push(dirname(stateFile))
  const ofUser = env['XDG_CACHE_HOME'] ?? ''
  // The specification wants others than absolute paths to be ignored.
  if (isAbsolute(ofUser)) candidates.push(join(ofUser, 'mtg-multi'))
  const home = env['HOME'] ?? findHome()
  if (isAbsolute(home)) candidates.push(join(home, '.cache', 'mtg-multi'))
  return candidates.map((directory) => join(directory, 'ip-lists'))
}

function findHome(): string {
  try {
    return homedir()
  } catch {
    return '' // a user whom the system does not know, as in containers
  }
}

function parseCopy(file: Buffer): CachedList | null {
  const end = file.subarray(0, MAX_HEADER_BYTES).indexOf('\n')
  const header = file.toString('utf8', 0, Math.max(0, end))
  if (!header.startsWith(HEADER)) return null
  // What is not JSON throws, and is as good as not there.
  const fields = JSON.parse(header.slice(HEADER.length)) as Partial<Record<keyof Validators, unknown>> | null
  const validators = { etag: checkField(fields?.etag), lastModified: checkField(fields?.lastModified) }
  return { text: file.subarray(end + 1), validators }
}

function checkField(value: unknown): string | null {
  return typeof value === 'string' && FIELD_VALUE.test(value) ? value : null
}

async function prune(directory: string): Promise<void> {
  const oldestMs = Date.now() - MAX_UNUSED_MS
  for (const name of await readdir(directory)) {
    if (!COPY_NAME.test(name)) continue
    const path = join(directory, name)
    if ((await stat(path)).mtimeMs < oldestMs) await rm(path, { force: true })
  }
}
