/**
 * `node faulty-program.ts <config>`: the proxy as `run` starts it, with worker threads that do what a line on stdin tells
 * them: `throw 0` is the fault and the thread. Ends with stdin.
 */
import { createInterface } from 'node:readline'
import { readConfigFile } from '#primary/commands/read-config-file'
import { startProxy } from '#primary/proxy'
import { type Fault, Faults, FAULTY_SERVE } from '../../support/faults.ts'

const STDOUT = 1

const { config } = await readConfigFile(process.argv[2] ?? '')
const proxy = await startProxy(config, {
  log: { level: 'debug', destination: STDOUT, pretty: false },
  workerEntry: FAULTY_SERVE,
})
const faults = new Faults(proxy.listening[0]?.port ?? 0)
for await (const line of createInterface({ input: process.stdin })) {
  const [kind = '', thread] = line.split(' ')
  faults.inject(Number(thread), { kind } as Fault) // the test names one that needs no more
}
await proxy.kill()
faults.close()
