import assert from 'node:assert/strict'
import { rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { HostsFile, parseHosts } from '#shared/dial/dns/hosts-file'
import { Resolver } from '#shared/dial/resolver'
import { addressRecord, startDnsServer } from '../../../support/dns-server.ts'
import { fakeNow, PATIENT, serverConfig } from './support.ts'
import { makeDirectory } from '../../../support/make-directory.ts'

const FILE = `# the network
127.0.0.1\tlocalhost
192.0.2.1   Site.Example  www.site.example. # ours
2001:db8::1 site.example
192.0.2.1   site.example
nonsense    site.example
192.0.2.256 site.example

192.0.2.3`

function writeHosts(t: TestContext, text: string): string {
  const directory = makeDirectory(t)
  const path = join(directory, 'hosts')
  writeFileSync(path, text)
  return path
}

test('names stand behind their addresses, in any case, several times, with comments between', () => {
  assert.deepEqual(Object.fromEntries(parseHosts(FILE)), {
    localhost: ['127.0.0.1'],
    'site.example': ['192.0.2.1', '2001:db8::1'],
    'www.site.example': ['192.0.2.1'],
  })
})

test('what the operator has fixed goes before the name server, in the family that is there', async (t) => {
  const server = await startDnsServer(t, ({ name, type }) => ({
    answers: [addressRecord(name, type === 'A' ? '198.51.100.1' : '2001:db8::99')],
  }))
  const resolver = new Resolver(serverConfig(server, 'udp'), { ...PATIENT, hostsPath: writeHosts(t, FILE) })
  assert.deepEqual(await resolver.resolve('SITE.example'), ['192.0.2.1', '2001:db8::1'])
  assert.deepEqual(await resolver.resolve('site.example', 6), ['2001:db8::1'])
  assert.equal(server.asked.length, 0)
  assert.deepEqual(await resolver.resolve('www.site.example', 6), ['2001:db8::99'])
  assert.deepEqual(await resolver.resolve('other.example'), ['198.51.100.1', '2001:db8::99'])
})

test('a file that is no list of hosts is not read, however large', async (t) => {
  const path = writeHosts(t, FILE)
  truncateSync(path, 16 * 1024 * 1024 + 1) // zeros that take no room on the disk
  assert.deepEqual(await new HostsFile(path).find('www.site.example', 0), [])
})

test('all who ask while the file is read get what it says', async (t) => {
  const hosts = new HostsFile(writeHosts(t, FILE))
  const answers = await Promise.all(Array.from({ length: 20 }, () => hosts.find('www.site.example', 0)))
  for (const answer of answers) assert.deepEqual(answer, ['192.0.2.1'])
})

test('a change is noticed after seconds; a file that is not there has no names', async (t) => {
  const { pass } = fakeNow(t)
  const path = writeHosts(t, FILE)
  const hosts = new HostsFile(path)
  assert.deepEqual(await hosts.find('www.site.example', 0), ['192.0.2.1'])
  writeFileSync(path, '192.0.2.55 www.site.example')
  await pass(6_000)
  assert.deepEqual(await hosts.find('www.site.example', 0), ['192.0.2.55'])
  rmSync(path)
  await pass(6_000)
  assert.deepEqual(await hosts.find('www.site.example', 0), [])
  writeFileSync(path, FILE)
  assert.deepEqual(await hosts.find('www.site.example', 0), [])
})
