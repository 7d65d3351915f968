/** `node test/soak/storm.ts`: the storms of the issue in full. Needs 6,100 open files and about a minute on two cores. */
import { runStorm } from '../support/storm.ts'

for (const [clients, inFlight] of [
  [2000, 2000],
  [20_000, 100],
] as const) {
  const { clientsPerSecond, heapGrowthBytes } = await runStorm(clients, inFlight)
  const [primary, ...workers] = heapGrowthBytes.map((bytes) => `${Math.round(bytes / 1024)} KiB`)
  process.stdout.write(
    `${clients} clients, ${inFlight} at a time: none lost, ${Math.round(clientsPerSecond)} a second, ` +
      `heaps grew by ${primary} (primary and clients), ${workers.join(', ')} (workers)\n`,
  )
}
