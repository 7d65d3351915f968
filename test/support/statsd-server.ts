import { createSocket, type Socket } from 'node:dgram'
import { EventEmitter, once } from 'node:events'
import type { TestContext } from 'node:test'

/** What servers make of a line; written from their documentation, and stricter than they are. */
export interface StatsdLine {
  readonly name: string
  readonly tags: Readonly<Record<string, string>>
  readonly value: number
  readonly type: string
}

export type TagFormat = 'datadog' | 'influxdb' | 'graphite'

const NUMBER = /^\d+(\.\d+)?$/

/** Throws on what is no line of the format. */
export function parseStatsdLine(format: TagFormat, line: string): StatsdLine {
  // Everybody cuts the name at the first colon, and the fields behind it at bars.
  const colon = line.indexOf(':')
  const bucket = line.slice(0, colon)
  const [value = '', type = '', tagField, ...more] = line.slice(colon + 1).split('|')
  if (colon < 0 || more.length > 0 || !NUMBER.test(value) || !['c', 'g'].includes(type)) fail(line)
  if (format === 'datadog') {
    if (tagField !== undefined && !tagField.startsWith('#')) fail(line)
    const pairs = tagField === undefined ? [] : tagField.slice(1).split(',')
    return { name: checkName(bucket), tags: readTags(pairs, ':'), value: Number(value), type }
  }
  if (tagField !== undefined) fail(line)
  const [name = '', ...pairs] = bucket.split(format === 'influxdb' ? ',' : ';')
  return { name: checkName(name), tags: readTags(pairs, '='), value: Number(value), type }
}

function readTags(pairs: readonly string[], separator: string): Record<string, string> {
  const tags: Record<string, string> = {}
  for (const pair of pairs) {
    const at = pair.indexOf(separator)
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)]
    if (at < 1 || value === '' || name in tags || /[\s\p{C}=#;,|]/u.test(value)) fail(pair)
    tags[name] = value
  }
  return tags
}

function checkName(name: string): string {
  return /^[a-z0-9]+\.[a-z0-9_]+$/.test(name) ? name : fail(name)
}

function fail(text: string): never {
  throw new Error(`no line of StatsD: ${JSON.stringify(text)}`)
}

/** A StatsD server as far as tests need one: adds up counters, keeps the last value of gauges. */
export class StatsdServer extends EventEmitter<{ datagram: [] }> {
  readonly port: number
  readonly datagrams: Buffer[]
  readonly #socket: Socket

  constructor(socket: Socket) {
    super()
    this.#socket = socket
    this.port = socket.address().port
    this.datagrams = []
    socket.on('message', (datagram) => {
      this.datagrams.push(datagram)
      this.emit('datagram')
    })
  }

  lines(format: TagFormat): StatsdLine[] {
    return this.datagrams
      .flatMap((datagram) => datagram.toString().split('\n'))
      .map((line) => parseStatsdLine(format, line))
  }

  /** By `name{tag=value,…}`. */
  values(format: TagFormat): Map<string, number> {
    const values = new Map<string, number>()
    for (const { name, tags, value, type } of this.lines(format)) {
      const key = `${name}{${Object.entries(tags)
        .map((tag) => tag.join('='))
        .join(',')}}`
      values.set(key, type === 'c' ? (values.get(key) ?? 0) + value : value)
    }
    return values
  }

  /** Rejects when it does not come to be within 15 s. */
  async waitUntil(condition: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(15_000)
    while (!condition()) await once(this, 'datagram', { signal })
  }

  close(): void {
    this.#socket.close()
  }
}

export async function startStatsdServer(t: TestContext, port = 0): Promise<StatsdServer> {
  const socket = createSocket('udp4')
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  const server = new StatsdServer(socket)
  t.after(() => {
    try {
      server.close()
    } catch {} // the test has closed it
  })
  return server
}
