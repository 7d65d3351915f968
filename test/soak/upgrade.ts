/** `node test/soak/upgrade.ts`: 200 clients echo and 50 new ones come a second while the program is replaced three times. */
import { runUpgradeStorm } from '../support/upgrade-storm.ts'

const cleanUps: (() => unknown)[] = []
try {
  const { newClients, bytes } = await runUpgradeStorm(
    { after: (clean) => void (clean && cleanUps.push(clean as () => unknown)) },
    { clients: 200, newPerSecond: 50, upgrades: 3, pauseMs: 3000 },
  )
  process.stdout.write(
    `200 clients and ${newClients} new ones over three upgrades: none cut, none refused, ${bytes} bytes counted exactly\n`,
  )
} finally {
  for (const clean of cleanUps.toReversed()) await clean()
}
