/**
 * The lines of Node in which an accepted socket can move to another thread, with the first release of each that can
 * (decision R1). The last one is open to later majors. Must say the same as `engines` in package.json.
 */
const SUPPORTED_LINES: readonly (readonly [major: number, minor: number])[] = [
  [24, 20],
  [26, 6],
]
export const SUPPORTED_NODE = '24.20 or later of Node 24, or 26.6 and later'

/** Whether the version, such as `26.10.0`, is one this program runs on. */
export function isSupportedNode(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const newest = SUPPORTED_LINES.at(-1)
  if (newest !== undefined && major > newest[0]) return true
  return SUPPORTED_LINES.some(([line, first]) => major === line && minor >= first)
}
