/**
 * Does every bench still start and print figures? `npm run bench:smoke`. Next to nothing of each, a few at a time; says nothing about
 * speed. Exits 1 when one fails, takes too long or prints what cannot be.
 */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { promisify } from 'node:util'

import { findFreePort } from '../test/support/free-port.ts'
import { OWN_DIRECTORY, startProgram } from './support/proxy-process.ts'
import { findInsane } from './support/sanity.ts'
import { SCENARIOS } from './support/scenarios.ts'
import { buildSecret } from './support/secrets.ts'

const run = promisify(execFile)

const FOLDER = new URL('.', import.meta.url)
const AT_ONCE = 3
/** A limit on hanging: each takes a few seconds. */
const LIMIT_MS = 60_000
const MAX_OUTPUT_BYTES = 1024 * 1024

interface Probe {
  readonly script: string
  readonly args: readonly string[]
}

/** Shell words that start this program as somebody else's: it gets to the data centre by its SOCKS5 face alone. */
function startForeign(port: string, secret: string, socksPort: string, directory: string): string {
  const config = `bind-to = "127.0.0.1:${port}"
network.proxies = ["socks5://127.0.0.1:${socksPort}"]
defense.doppelganger.learn-front = false
domain-fronting.host = "127.0.0.1"
secrets.somebody = "${secret}"
`
  const program = new URL('../packages/primary/main.ts', FOLDER).pathname
  return `echo '${config}' > ${directory}/config.toml; exec ${process.execPath} ${program} run ${directory}/config.toml`
}

const main = (...args: string[]): Probe => ({ script: 'main.ts', args })
const probes: readonly Probe[] = [
  ...SCENARIOS.map(({ name }) => main(name)),
  main('download', '--verify'),
  main('upload', '--verify'),
  main('handshakes', '--compare', 'workers=1', 'reuse-port=true workers=1'),
  main('handshakes', '--config', new URL('../example.config.toml', FOLDER).pathname),
  main('upload', '--subject', `sh:${startForeign('{port}', '{secret}', '{socks-port}', '{dir}')}`),
  { script: 'compare-revisions.ts', args: [OWN_DIRECTORY, '--scenario', 'upload'] },
  { script: 'pacing.ts', args: [] },
  { script: 'stats-api.ts', args: [] },
  { script: 'scaling.ts', args: [] },
  { script: 'floods/main.ts', args: ['silent', 'hellos-1000'] },
  ...readdirSync(new URL('micro', FOLDER))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ script: `micro/${name}`, args: [] })),
]

/** Returns what is wrong, or null. */
async function probe({ script, args }: Probe): Promise<string | null> {
  const path = new URL(script, FOLDER).pathname
  try {
    const { stdout } = await run(process.execPath, [path, ...args, '--quick', '--json'], {
      timeout: LIMIT_MS,
      maxBuffer: MAX_OUTPUT_BYTES,
    })
    return findInsane(stdout)
  } catch (error) {
    return (error as Error).message // execFile rejects with errors that hold the end of stderr
  }
}

/** A proxy that runs before the bench does, on ports that were agreed on. */
async function probeRunning(): Promise<string | null> {
  const [port, dcPort, socksPort] = [await findFreePort(), await findFreePort(), await findFreePort()]
  const secret = buildSecret('smoke', 0)
  const program = await startProgram({
    port,
    files: {},
    command: (file) => ['/bin/sh', '-c', startForeign(String(port), secret, String(socksPort), file('.'))],
  })
  try {
    const ports = ['--dc-port', String(dcPort), '--socks-port', String(socksPort)]
    return await probe(main('download', '--proxy', `127.0.0.1:${port}`, '--secret', secret, ...ports))
  } finally {
    await program.stop()
  }
}

const startedAt = performance.now()
const waiting = [
  { name: 'main.ts download --proxy …', run: probeRunning },
  ...probes.map((each) => ({ name: [each.script, ...each.args].join(' '), run: () => probe(each) })),
]
const count = waiting.length
let failures = 0
const lane = async (): Promise<void> => {
  for (let each; (each = waiting.shift()) !== undefined;) {
    const since = performance.now()
    const wrong = await each.run()
    const seconds = ((performance.now() - since) / 1000).toFixed(1)
    console.log(
      `${wrong === null ? 'ok    ' : 'FAILED'} ${seconds.padStart(5)} s  ${each.name.split('\n', 1)[0]}`,
    )
    if (wrong === null) continue
    console.log(wrong)
    failures += 1
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, lane))
const seconds = ((performance.now() - startedAt) / 1000).toFixed(0)
console.log(`${count - failures} of ${count} benches print figures, ${seconds} s`)
process.exit(failures === 0 ? 0 : 1)
