import { runStorm } from './storm.ts'
const t0 = performance.now()
console.log(await runStorm(Number(process.argv[2]), Number(process.argv[3])), performance.now() - t0)
