// Writes dist/package.json: inside an installed package Node refuses .ts files, so `#shared/*` has to mean the
// compiled ones there.
import { writeFileSync } from 'node:fs'

const imports = Object.fromEntries(
  ['shared', 'worker', 'primary'].map((name) => [`#${name}/*`, `./${name}/*.js`]),
)
writeFileSync('dist/package.json', `${JSON.stringify({ type: 'module', imports }, null, 2)}\n`)
