/**
 * A program for task-pool.test.ts: with so many descriptors left as its arguments say, one after the other, a job is asked
 * for; then, with enough of them, another one. Prints what came of each.
 */
import { closeSync, openSync } from 'node:fs'
import { TaskPool } from '#primary/task-pool'

function takeAll(): number[] {
  const taken: number[] = []
  for (;;) {
    try {
      taken.push(openSync('/dev/null', 'r'))
    } catch {
      return taken
    }
  }
}

const outcomes: string[] = []
for (const left of process.argv.slice(2).map(Number)) {
  const pool = new TaskPool()
  const job = (): Promise<string> =>
    pool.run('compile-ip-list', { text: Buffer.from('192.0.2.0/24') }).then(
      () => 'done',
      () => 'failed',
    )
  const taken = takeAll()
  for (const descriptor of taken.splice(0, left)) closeSync(descriptor)
  const short = await job()
  for (const descriptor of taken) closeSync(descriptor)
  outcomes.push(`${short}, then ${await job()}`)
  await pool.close()
}
process.stdout.write(JSON.stringify(outcomes))
