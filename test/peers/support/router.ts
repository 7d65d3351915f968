import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { HostPort } from '#shared/dc'
import { findFreePort } from '../../support/free-port.ts'
import { type Owner, type Peer, runPeer, startPeer } from './peer.ts'
import { adaptRecipe } from './recipe.ts'
import { makeDirectory } from '../../support/make-directory.ts'

/** The recipes of contrib/ as they stand, on loopback: nothing in them is changed but ports, paths and the host. */

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const MAIN = join(ROOT, 'packages/primary/main.ts')
const HOST_IN_RECIPES = 'mtg.example.com'
const PAGE = '<title>a page</title>\n'

export type RouterKind = 'haproxy' | 'nginx'

export interface Router {
  /** Where clients and browsers come. */
  readonly port: number
  /** The host of the secret. */
  readonly host: string
  readonly secret: string
  /** PEM file of the site's certificate. */
  readonly certificatePath: string
  /** What the site answers at `/`. */
  readonly page: string
  readonly mtg: Peer
  /** Lines of mtg-multi's log. */
  log(): Record<string, unknown>[]
  /** The site's access log: an address is the first word of each line. */
  siteLog(): string
}

/** The router in front, mtg-multi and a web site behind it, all by their recipes. */
export async function startRouter(owner: Owner, kind: RouterKind, dc: HostPort): Promise<Router> {
  const folder = makeDirectory(owner)
  const [port, mtgPort, sitePort] = [await findFreePort(), await findFreePort(), await findFreePort()]
  const host = HOST_IN_RECIPES
  const secret = `ee${'5a'.repeat(16)}${Buffer.from(host).toString('hex')}`
  const certificatePath = join(folder, 'fullchain.pem')
  makeCertificate(folder, host)

  const behind = [
    ['127.0.0.1:3128', `127.0.0.1:${mtgPort}`],
    ['127.0.0.1:8443', `127.0.0.1:${sitePort}`],
  ] as const

  const siteFolder = join(folder, 'site')
  const site = adaptRecipe('sni-router/nginx.conf', [
    ['127.0.0.1:8443', `127.0.0.1:${sitePort}`],
    [`/etc/letsencrypt/live/${host}`, folder],
    ['/var/www/html', join(siteFolder, 'html')],
  ])
  await startNginx(
    owner,
    siteFolder,
    `http { access_log access.log combined;\n${TEMPORARY_PATHS}${site}}`,
    sitePort,
  )

  const config = adaptRecipe('sni-router/config.toml', [
    ['127.0.0.1:3128', `127.0.0.1:${mtgPort}`],
    ['port = 8443', `port = ${sitePort}`],
  ])
  const configPath = join(folder, 'config.toml')
  writeFileSync(configPath, `debug = true\n${config}\n[dc]\n2 = "${dc.host}:${dc.port}"\n`, { mode: 0o600 })
  const mtg = startPeer(owner, process.execPath, [MAIN, 'run', configPath], { env: { MTG_SECRET: secret } })
  await mtg.waitForPort(mtgPort)

  if (kind === 'haproxy') {
    const path = join(folder, 'haproxy.cfg')
    writeFileSync(
      path,
      adaptRecipe('sni-router/haproxy.cfg', [...behind, ['bind :443 v4v6', `bind 127.0.0.1:${port}`]]),
    )
    await startPeer(owner, 'haproxy', ['-db', '-f', path]).waitForPort(port)
  } else {
    const stream = adaptRecipe('nginx/stream.conf', [
      ...behind,
      ['listen 443;', `listen 127.0.0.1:${port};`],
      ['listen [::]:443;', ''],
    ])
    const module = 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n'
    await startNginx(owner, join(folder, 'router'), stream, port, module)
  }
  return {
    port,
    host,
    secret,
    certificatePath,
    page: PAGE,
    mtg,
    log: () =>
      mtg.output
        .slice(0, mtg.output.lastIndexOf('\n') + 1) // its last line may be half of one
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    siteLog: () => readFileSync(join(siteFolder, 'access.log'), 'utf8'),
  }
}

const TEMPORARY_PATHS = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  .map((name) => `${name}_temp_path ${name};\n`)
  .join('')

async function startNginx(
  owner: Owner,
  folder: string,
  body: string,
  port: number,
  head = '',
): Promise<void> {
  mkdirSync(join(folder, 'html'), { recursive: true })
  writeFileSync(join(folder, 'html', 'index.html'), PAGE)
  const path = join(folder, 'nginx.conf')
  const user = process.getuid?.() === 0 ? 'user root;\n' : '' // its own user may not enter our folder
  writeFileSync(path, `${head}${user}daemon off;\nmaster_process off;\npid nginx.pid;\nevents {}\n${body}\n`)
  const args = ['-p', folder, '-c', path, '-e', join(folder, 'error.log')]
  runPeer('nginx', [...args, '-t'])
  await startPeer(owner, 'nginx', args).waitForPort(port)
}

function makeCertificate(folder: string, host: string): void {
  const [key, certificate] = [join(folder, 'privkey.pem'), join(folder, 'fullchain.pem')]
  const subject = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host},DNS:www.example.com`]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  runPeer('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', certificate])
}

/** A browser's request through the router, by curl; `from` is the visitor's address. Throws when it fails. */
export function browse(router: Router, host: string, path: string, from: string): string {
  const limits = ['--silent', '--show-error', '--fail', '--max-time', '20']
  const resolve = `${host}:${router.port}:127.0.0.1`
  const visit = ['--interface', from, '--cacert', router.certificatePath, '--resolve', resolve]
  return runPeer('curl', [...limits, ...visit, `https://${host}:${router.port}${path}`])
}
