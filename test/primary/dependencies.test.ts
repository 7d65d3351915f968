import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const ROOT = new URL('../../', import.meta.url)
const read = (name: string): string => readFileSync(new URL(name, ROOT), 'utf8')

interface Manifest {
  readonly dependencies: Record<string, string>
  readonly devDependencies: Record<string, string>
  readonly optionalDependencies: Record<string, string>
}

interface LockedPackage {
  readonly version?: string
  readonly integrity?: string
  readonly hasInstallScript?: boolean
  readonly dev?: boolean
}

const manifest = JSON.parse(read('package.json')) as Manifest
const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, LockedPackage> }
const locked = Object.entries(packages).filter(([path]) => path !== '')

test('dependencies are exact versions, and the lock file has them', () => {
  const { dependencies, devDependencies, optionalDependencies } = manifest
  for (const [name, version] of Object.entries({
    ...dependencies,
    ...devDependencies,
    ...optionalDependencies,
  })) {
    assert.match(version, /^\d+\.\d+\.\d+(?:-[\w.]+)?$/, name)
    assert.equal(packages[`node_modules/${name}`]?.version, version, name)
  }
})

test('every package is locked by a digest of its contents', () => {
  for (const [path, { integrity }] of locked) assert.match(integrity ?? '', /^sha512-/, path)
})

test('no package runs a script of its own when it is installed, and only these two have one', () => {
  assert.match(read('.npmrc'), /^ignore-scripts=true$/m)
  const withScript = locked.filter(([, { hasInstallScript }]) => hasInstallScript === true)
  assert.deepEqual(
    withScript.map(([path, { dev }]) => [path, dev === true]),
    [
      ['node_modules/better-sqlite3', true], // of the test client, which does without
      ['node_modules/koffi', false], // comes with its binaries
    ],
  )
})
