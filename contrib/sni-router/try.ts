import { parseArgs } from 'node:util'
import { browse, startRouter, type RouterKind } from '../../test/peers/support/router.ts'
import { runPeer, type Owner } from '../../test/peers/support/peer.ts'
import { createMtcuteClient } from '../../test/support/mtcute-client.ts'
import { startTelegramDc } from '../../test/support/telegram-dc.ts'

/**
 * Tries the recipes of this folder on loopback, without touching a service of this machine: the router, mtg-multi and
 * the web server as they are written here, on ports of their own, with a data centre of the tests behind them. Then a
 * Telegram client and a browser go in by one port.
 *
 *     npm run try:sni-router                          needs Debian's haproxy, nginx, curl and openssl
 *     npm run try:sni-router -- --router nginx        nginx instead of HAProxy: libnginx-mod-stream
 *     npm run try:sni-router -- --chromium            a real browser besides curl
 */

const BROWSER = '127.0.0.8'

const { values } = parseArgs({
  options: {
    router: { type: 'string', default: 'haproxy' satisfies RouterKind },
    chromium: { type: 'boolean', default: false },
  },
})
if (values.router !== 'haproxy' && values.router !== 'nginx') throw new Error('--router is haproxy or nginx')

const cleanups: (() => unknown)[] = []
const owner: Owner = { after: (cleanup) => void cleanups.unshift(cleanup as () => unknown) }
try {
  await tryRouter(values.router, values.chromium)
} catch (error) {
  process.exitCode = 1
  say('fail', error instanceof Error ? error.message : String(error))
} finally {
  for (const cleanup of cleanups) await cleanup()
}
process.exit()

async function tryRouter(kind: RouterKind, withChromium: boolean): Promise<void> {
  const dc = await startTelegramDc({ dcId: 2 })
  owner.after(() => dc.close())
  const router = await startRouter(owner, kind, dc.address)
  const { port, host, secret } = router
  say('ok', `${kind}, nginx as the site, and mtg-multi stand; everybody comes to 127.0.0.1:${port}`)

  const telegram = await createMtcuteClient({
    proxy: { host: '127.0.0.1', port },
    secret,
    dcId: 2,
    publicKeyPem: dc.publicKeyPem,
  })
  owner.after(() => telegram.destroy())
  await telegram.client.connect()
  const failed = telegram.firstError.then((error) => {
    throw error
  })
  const answer = await Promise.race([telegram.client.call({ _: 'help.getNearestDc' }), failed])
  say('ok', `Telegram client (mtcute): exchanged keys with data centre ${answer.thisDc} and got its answer`)

  demand(browse(router, host, '/', BROWSER) === router.page)
  demand(browse(router, 'www.example.com', '/', BROWSER) === router.page)
  say(
    'ok',
    `browser (curl): https://${host}/ by way of mtg-multi, https://www.example.com/ straight to the site`,
  )
  if (withChromium) {
    const headless = ['--headless', '--no-sandbox', '--ignore-certificate-errors', '--dump-dom']
    const resolver = `--host-resolver-rules=MAP ${host} 127.0.0.1:${port}`
    demand(runPeer('chromium', [...headless, resolver, `https://${host}/`]).includes(router.page.trim()))
    say('ok', `browser (Chromium): https://${host}/ by way of mtg-multi`)
  }

  const visitors = new Set(
    router
      .siteLog()
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0]),
  )
  demand(visitors.has(BROWSER))
  await router.mtg.waitUntil(
    () => router.log().some((line) => line['client-ip'] === BROWSER),
    'naming the visitor',
  )
  say('ok', `both logs name the visitor's own address, ${BROWSER}`)
}

function demand(condition: boolean): asserts condition {
  if (!condition) throw new Error('what came back is not what the site says')
}

function say(mark: 'ok' | 'fail', text: string): void {
  process.stdout.write(`${mark.padEnd(5)}${text}\n`)
}
