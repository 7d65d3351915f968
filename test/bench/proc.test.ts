import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { findListeningInodes, parseStat, parseStatus } from '../../bench/support/proc.ts'
import { type CpuReading, readCpu, readRssKib, subtractCpu } from '../../bench/support/process-usage.ts'
import { findListeners, listTree } from '../../bench/support/process-tree.ts'

test('the name in a stat line may contain anything', () => {
  const line = '7 (a) R 1 (b c)) S 42 7 7 0 -1 4194560 1 0 0 0 250 50 30 20 20 0 11 0 99 1 1'
  assert.deepEqual(parseStat(line), { parent: 42, ownSeconds: 3, endedChildrenSeconds: 0.5 })
  assert.equal(parseStat(''), null)
})

test('memory of a process, and of one that has ended', () => {
  assert.deepEqual(parseStatus('Name:\tnode\nVmHWM:\t 900 kB\nVmRSS:\t   812 kB\n'), { rssKib: 812 })
  assert.deepEqual(parseStatus('State:\tZ (zombie)\n'), { rssKib: 0 })
})

test('sockets that listen on a port, of either family', () => {
  const header = 'sl local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n'
  const rows = [
    '0: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 111 1 0 100 0 0 10 0',
    '1: 0100007F:01BB 0100007F:D431 01 00000000:00000000 00:00000000 00000000 0 0 222 1 0 20 4 30 10 -1',
    '2: 0100007F:11BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 333 1 0 100 0 0 10 0',
    '3: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 444 1 0',
  ]
  assert.deepEqual(findListeningInodes(header + rows.join('\n'), 443), ['111', '444'])
})

test('a proxy is found by its port, with its children', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // it listens on TCP
  assert.deepEqual(findListeners(port), [process.pid])

  const child = spawn('sleep', ['60'])
  t.after(() => child.kill())
  await once(child, 'spawn')
  const tree = listTree([process.pid, process.pid])
  assert.ok(child.pid !== undefined && tree.includes(child.pid))
  assert.equal(tree.filter((pid) => pid === process.pid).length, 1)
  assert.ok(readRssKib([process.pid]) > 10_000)
})

test('work shows in the reading', () => {
  const before = readCpu([process.pid])
  const since = process.threadCpuUsage()
  while (process.threadCpuUsage(since).user < 30_000);
  const { total, primary } = subtractCpu(readCpu([process.pid]), before)
  assert.ok(primary >= 0.03 && total >= 0.03, `${primary} of ${total}`)
})

test('the sum of the threads counts, unless one of them came or went', () => {
  const reading = (processSeconds: number, threads: Record<number, number>): CpuReading => ({
    processSeconds,
    threads: new Map(
      Object.entries(threads).map(([id, seconds]) => [
        Number(id),
        { kind: id === '1' ? 'primary' : 'workers', seconds },
      ]),
    ),
  })
  const before = reading(10, { 1: 1, 2: 2 })
  assert.deepEqual(subtractCpu(reading(13, { 1: 1.5, 2: 4 }), before), {
    total: 2.5,
    primary: 0.5,
    workers: 2,
    helpers: 0,
  })
  assert.equal(subtractCpu(reading(13, { 1: 1.5, 3: 0.25 }), before).total, 3)
  assert.equal(subtractCpu(reading(13, { 1: 1.5 }), before).total, 3)
})
