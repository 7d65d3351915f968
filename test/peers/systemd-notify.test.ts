import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { startUpgradable } from '../support/upgrade-storm.ts'
import { waitUntil } from '../end-to-end/world.ts'
import { startPeer } from './support/peer.ts'
import { makeDirectory } from '../support/make-directory.ts'

/** What systemd does with messages, as far as they are seen: closing the descriptor of a barrier lets its sender go. */
const RECEIVER = `
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('receiving', flush=True)
while True:
    data, ancillary, flags, address = s.recvmsg(4096, socket.CMSG_SPACE(16))
    for level, kind, payload in ancillary:
        if kind == socket.SCM_RIGHTS:
            for fd in array.array('i', payload[: len(payload) // 4 * 4]): os.close(fd)
    print(data.decode().replace('\\n', ' '), flush=True)
`

test(
  'the real systemd-notify tells of start, reload, upgrade, watchdog and stop',
  { timeout: 90_000 },
  async (t) => {
    const socket = join(makeDirectory(t), 'notify')
    const systemd = startPeer(t, 'python3', ['-c', RECEIVER, socket])
    await systemd.waitUntil(() => systemd.output.includes('receiving'), 'receiving')
    const site = await startUpgradable(t, { env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '2000000' } })
    const hears = (text: string): Promise<void> =>
      systemd.waitUntil(() => systemd.output.includes(text), text)
    const first = site.program.child.pid
    await hears(`READY=1 MAINPID=${first} `)
    site.program.child.kill('SIGHUP')
    await hears('RELOADING=1 MONOTONIC_USEC=')
    await hears('READY=1 STATUS=Serving')
    await site.upgrade()
    const [, second = 0] = site.pids()
    await hears(`READY=1 MAINPID=${second} `)
    await waitUntil(() => site.program.stdout.includes('proxy has been stopped'), 'the first one has ended')
    const after = systemd.output.length
    await waitUntil(() => systemd.output.slice(after).includes('WATCHDOG=1'), 'the second one is watched')
    process.kill(second, 'SIGTERM')
    await hears('STOPPING=1')
    await site.program.exit()
    assert.doesNotMatch(site.program.stdout, /service manager cannot be told/)
  },
)
