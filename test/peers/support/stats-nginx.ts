import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

import type { HostPort } from '#shared/dc'
import { findFreePort } from '../../support/free-port.ts'
import { runPeer, startPeer } from './peer.ts'
import { makeDirectory } from '../../support/make-directory.ts'

const CONF = readFileSync('contrib/nginx/stats-api.conf', 'utf8')
const CERT = join(process.cwd(), 'test/fixtures/front-site-cert.pem')
const KEY = join(process.cwd(), 'test/fixtures/front-site-key.pem')
const PASSWORD = 'correct horse'
/** What the password file of the test lets in. */
export const BASIC = `Basic ${Buffer.from(`operator:${PASSWORD}`).toString('base64')}`

export interface Answer {
  status: number
  headers: NodeJS.Dict<string | string[]>
  body: string
}

export type Get = (path: string, authorization?: string, method?: string) => Promise<Answer>

/**
 * Debian's nginx with contrib/nginx/stats-api.conf as it is shipped, with what it marks CHANGE changed, between the API and
 * a client that speaks TLS.
 * @param api a port of 0 means that the host is the path of a UNIX socket
 */
export async function startStatsNginx(
  t: TestContext,
  { host, port: apiPort }: HostPort,
  change: (conf: string) => string = (conf) => conf,
): Promise<Get> {
  const folder = makeDirectory(t)
  const port = await findFreePort()

  const passwords = join(folder, 'htpasswd')
  const hash = runPeer('openssl', ['passwd', '-apr1', '-stdin'], PASSWORD).trim()
  writeFileSync(passwords, `operator:${hash}\n`)
  writeFileSync(join(folder, 'stats-api.conf'), change(adapt(CONF, { host, apiPort, port, passwords })))
  writeFileSync(join(folder, 'nginx.conf'), wrap(folder))
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')]
  runPeer('nginx', [...args, '-t'])
  const nginx = startPeer(t, 'nginx', args)
  await nginx.waitForPort(port)

  // A connection each, as visitors have.
  const agent = new Agent({
    ca: readFileSync(CERT),
    checkServerIdentity: () => undefined,
    maxCachedSessions: 0,
  })
  return (path, authorization, method = 'GET') =>
    ask({ port, path, method, agent, headers: authorization === undefined ? {} : { authorization } })
}

interface Changes {
  host: string
  apiPort: number
  port: number
  passwords: string
}

/** Each change must have found its place, so that the file cannot drift away from the test. */
function adapt(conf: string, { host, apiPort, port, passwords }: Changes): string {
  const changes: [string, string][] = [
    ['server 127.0.0.1:9090;', apiPort === 0 ? `server unix:${host};` : `server ${host}:${apiPort};`],
    ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
    ['listen [::]:443 ssl;', ''],
    ['/etc/letsencrypt/live/stats.example.com/fullchain.pem', CERT],
    ['/etc/letsencrypt/live/stats.example.com/privkey.pem', KEY],
    ['auth_basic_user_file /etc/nginx/mtg-multi.htpasswd;', `auth_basic_user_file ${passwords};`],
  ]
  return changes.reduce(replaceOnce, conf)
}

function replaceOnce(text: string, [from, to]: [string, string]): string {
  assert.equal(text.split(from).length, 2, `${from} is there once`)
  return text.replace(from, () => to)
}

function wrap(folder: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ')
  return `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
    events { worker_connections 64; }
    http { access_log off; ${temporary} include ${folder}/stats-api.conf; }`
}

function ask(options: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response
        resolve({ status, headers, body: Buffer.concat(chunks).toString() })
      })
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}
