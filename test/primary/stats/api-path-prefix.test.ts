import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { startStatsApi } from '#primary/stats/stats-api'
import type { HostPort } from '#shared/dc'

import { ask, type Answer } from './http.ts'

async function start(t: TestContext, pathPrefix: string): Promise<HostPort> {
  const api = await startStatsApi({
    address: { host: '127.0.0.1', port: 0 },
    pathPrefix,
    version: '1.2.3',
    snapshot: () => ({ startedAtMs: 0, users: [], throttle: null }),
    ready: () => true,
  })
  t.after(() => api.close())
  return api.address
}

interface Description {
  openapi: string
  info: { version: string }
  servers: { url: string }[]
  paths: Record<string, Record<string, { responses: Record<string, unknown> }>>
}

async function describe(address: HostPort, prefix: string): Promise<Description> {
  const { status, body } = await ask(address, `${prefix}/v1/openapi.json`)
  assert.equal(status, 200)
  return JSON.parse(body) as Description
}

test('every path is reachable behind the prefix, and without it by whoever is on the host', async (t) => {
  for (const prefix of ['/proxy', '/a/b', '/x:y*', '/caf%C3%A9']) {
    const address = await start(t, prefix)
    for (const path of ['/stats', '/health/live', '/health/ready', '/v1/openapi.json']) {
      assert.equal((await ask(address, `${prefix}${path}?x`)).status, 200, prefix + path)
      assert.equal((await ask(address, path)).status, 200, path)
      assert.equal((await ask(address, `${prefix}${path}`, 'POST')).status, 405)
    }
    for (const path of [prefix, `${prefix}/`, `${prefix}stats`, `${prefix}${prefix}/stats`, '/proxy2/stats'])
      assert.equal((await ask(address, path)).status, 404, path)
  }
})

test('the description lists exactly what there is, and leads to it', async (t) => {
  for (const prefix of ['', '/proxy']) {
    const address = await start(t, prefix)
    const { openapi, info, servers, paths } = await describe(address, prefix)
    assert.match(openapi, /^3\.1/)
    assert.equal(info.version, '1.2.3')
    assert.deepEqual(servers, [{ url: prefix || '/' }])
    assert.deepEqual(Object.keys(paths).sort(), [
      '/health/live',
      '/health/ready',
      '/stats',
      '/v1/openapi.json',
      '/v1/upstreams',
    ])
    const base = servers[0]!.url.replace(/\/$/, '')
    for (const [path, methods] of Object.entries(paths)) {
      assert.deepEqual(Object.keys(methods), ['get'], path)
      const { status, headers } = await ask(address, `${base}${path}`)
      const described = methods['get']?.responses[status] as { content: Record<string, unknown> }
      const type = String(headers['content-type']).replace(/;.*/, '')
      assert.deepEqual(Object.keys(described.content), [type], path)
    }
  }
})

test('the JSON of /stats has the members that the description says', async (t) => {
  const address = await start(t, '')
  const { paths } = await describe(address, '')
  const response = paths['/stats']?.['get']?.responses['200'] as {
    content: { 'application/json': { schema: { required: string[]; properties: Record<string, unknown> } } }
  }
  const { required, properties } = response.content['application/json'].schema
  const members = Object.keys(JSON.parse((await ask(address, '/stats')).body) as object)
  assert.deepEqual(members, required) // nobody has a throttle here
  assert.deepEqual(
    Object.keys(properties).filter((name) => !required.includes(name)),
    ['throttle'],
  )
})

test('nothing may be kept by a cache, nothing is for scripts of other sites, and all say where the description is', async (t) => {
  const address = await start(t, '/proxy')
  const origin = { origin: 'https://evil.example', 'access-control-request-method': 'GET' }
  const answers: Answer[] = []
  for (const path of ['/stats', '/health/live', '/health/ready', '/v1/openapi.json', '/none']) {
    for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS'])
      answers.push(await ask(address, path, method, origin))
  }
  for (const { headers } of answers) {
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['link'], '</proxy/v1/openapi.json>; rel="service-desc"')
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.startsWith('access-control')),
      [],
    )
  }
})
