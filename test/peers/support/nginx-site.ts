import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { findFreePort } from '../../support/free-port.ts'
import { runPeer, startPeer } from './peer.ts'
import { makeDirectory } from '../../support/make-directory.ts'

export interface NginxSite {
  readonly port: number
  /** PEM file of its certificate, which signed itself. */
  readonly certificate: string
  /** SHA-256 of its public key, in base64. */
  readonly keyHash: string
}

/** Says in its title how it was fetched, if scripts run. */
const PAGE = `<!doctype html><html><head><title>?</title></head><body><h1>A site like any other</h1>
<script>document.title = performance.getEntriesByType('navigation')[0].nextHopProtocol</script></body></html>
`
export const FILE_BYTES = 3_000_000

/**
 * A web site by Debian's nginx as operators set it up: HTTP/2, a page, a large file. It gives up on a handshake or a
 * request after `patience` seconds, so that probes of all kinds end.
 */
export async function startNginxSite(t: TestContext, host: string, patience: number): Promise<NginxSite> {
  const folder = makeDirectory(t)
  const [certificate, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2']
  const names = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`]
  runPeer('openssl', [...request, ...names, '-keyout', key, '-out', certificate])
  writeFileSync(join(folder, 'index.html'), PAGE)
  writeFileSync(join(folder, 'file.bin'), Buffer.alloc(FILE_BYTES, 'not all the same '))
  const port = await findFreePort()
  const conf = join(folder, 'nginx.conf')
  writeFileSync(conf, buildConf({ folder, port, certificate, key, host, patience }))
  const args = ['-p', folder, '-c', conf, '-e', join(folder, 'error.log')]
  runPeer('nginx', [...args, '-t'])
  const nginx = startPeer(t, 'nginx', args)
  await nginx.waitForPort(port)
  const { publicKey } = new X509Certificate(readFileSync(certificate))
  writeFileSync(join(folder, 'key.der'), publicKey.export({ type: 'spki', format: 'der' }))
  const keyHash = runPeer('openssl', ['dgst', '-sha256', '-r', join(folder, 'key.der')]).split(' ')[0]!
  return { port, certificate, keyHash: Buffer.from(keyHash, 'hex').toString('base64') }
}

interface Conf {
  folder: string
  port: number
  certificate: string
  key: string
  host: string
  patience: number
}

const buildConf = ({ folder, port, certificate, key, host, patience }: Conf): string => `
daemon off;
master_process off; # a worker of its own would outlive the master that is killed
pid ${folder}/nginx.pid;
events { worker_connections 2048; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  types { text/html html; }
  client_header_timeout ${patience}s;
  keepalive_timeout ${patience}s;
  server {
    listen 127.0.0.1:${port} ssl http2 backlog=1024;
    server_name ${host};
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};
    ssl_protocols TLSv1.2 TLSv1.3;
    root ${folder};
  }
}
`
