import { startBridge } from '/tmp/p1/bridge.ts'
import { startTelegramDc } from './telegram-dc.ts'
import { createMtcuteClient } from './mtcute-client.ts'
import { downloadAsIterable, uploadFile } from '@mtcute/node/methods.js'
import { buildTestFileBytes } from './telegram-dc/test-file.ts'
import { Long } from '@mtcute/node'
import { randomBytes } from 'node:crypto'
const t0 = performance.now(); const log = (...a: unknown[]) => console.log((performance.now() - t0).toFixed(0), ...a)
const dcs: any = {}; const table: any = {}
for (const id of [1,2,3,4,5]) { dcs[id] = await startTelegramDc({ dcId: id }); table[id] = dcs[id].address; log('dc', id) }
const key = randomBytes(16)
const b = await startBridge(key, table); const port = (b.address() as any).port
const secret = 'ee' + key.toString('hex') + Buffer.from('example.com').toString('hex')
for (const usePfs of [false, true]) {
const c = createMtcuteClient({ proxy: { host: '127.0.0.1', port }, secret, dcId: 2, publicKeyPem: dcs[2].publicKeyPem, usePfs })
if (process.env.V) c.client.log.mgr.level = 5
await c.client.connect()
log('connected')
for (const id of [2,1,3,4,5]) { log(await c.client.call({ _: 'help.getNearestDc' }, { dcId: id }).catch((e: unknown) => e)) }
const parts: Uint8Array[] = []
for await (const p of downloadAsIterable(c.client, { _: 'inputDocumentFileLocation', id: Long.fromNumber(16<<20), accessHash: Long.ZERO, fileReference: new Uint8Array(), thumbSize: '' }, { fileSize: 16<<20, dcId: 4, partSize: 512 })) parts.push(p)
log('download', Buffer.concat(parts).equals(buildTestFileBytes(4, 0, 16<<20)))
const file = randomBytes(4<<20)
const up = await uploadFile(c.client, { file, fileName: 'x.bin', fileMime: 'application/octet-stream', partSize: 512 })
const id = (up.inputFile as any).id as Long
log('upload', up.inputFile._, dcs[2].uploadedFile((BigInt(id.high) << 32n) | BigInt(id.low >>> 0)).equals(file))
log(c.errors); await c.destroy(); log('destroyed')
for (const d of Object.values(dcs) as any[]) log(d.dcId, d.frames, d.keyExchanges, d.faults)
}
for (const d of Object.values(dcs) as any[]) await d.close()
b.close(); log('closed', process.getActiveResourcesInfo())
