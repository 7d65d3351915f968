import { encodeQrCode, type QrModules } from '#primary/qr-code'

/** Millimetres or pixels do not matter in an SVG, but viewers open it at this size. */
const PIXELS_PER_MODULE = 8

/**
 * A QR code as an SVG image: one path, a stroke for each run of dark modules, so that it stays below a few kilobytes.
 */
export function buildQrSvg(text: string): string {
  const modules = encodeQrCode(text)
  const pixels = modules.size * PIXELS_PER_MODULE
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${pixels}" height="${pixels}" ` +
    `viewBox="0 0 ${modules.size} ${modules.size}" shape-rendering="crispEdges">` +
    `<path fill="#fff" d="M0 0h${modules.size}v${modules.size}H0z"/>` +
    `<path stroke="#000" d="${drawRuns(modules)}"/></svg>\n`
  )
}

/**
 * The image as a URL that holds it: shown by any browser or `<img>`, asked of nobody. The reference names a web
 * service here, which learns the secret (decision O7).
 */
export function buildQrDataUrl(text: string): string {
  return `data:image/svg+xml;base64,${Buffer.from(buildQrSvg(text)).toString('base64')}`
}

/** Strokes one module high, along the middle of each row. */
function drawRuns({ rows }: QrModules): string {
  let path = ''
  for (const [y, row] of rows.entries()) {
    let end = 0
    for (const run of findRuns(row)) {
      path += end === 0 ? `M${run.start} ${y}.5` : `m${run.start - end} 0`
      path += `h${run.end - run.start}`
      end = run.end
    }
  }
  return path
}

function findRuns(row: readonly boolean[]): { start: number; end: number }[] {
  const runs: { start: number; end: number }[] = []
  for (const [x, dark] of row.entries()) {
    if (!dark) continue
    const last = runs.at(-1)
    if (last?.end === x) last.end = x + 1
    else runs.push({ start: x, end: x + 1 })
  }
  return runs
}
