import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PNG } from 'pngjs'
import { encode } from 'uqr'

import { buildQrPng } from '#primary/access/qr-png'
import { buildQrDataUrl, buildQrSvg } from '#primary/access/qr-svg'

const LINK = 'tg://proxy?port=443&secret=7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ&server=203.0.113.1'
/** Straight from the encoder, with the margin of the standard. */
const EXPECTED = encode(LINK, { border: 4, ecc: 'L', boostEcc: true }).data

/** Walk the one path of strokes as a renderer would. */
function renderSvg(svg: string): boolean[][] {
  const size = Number(/viewBox="0 0 (\d+) \1"/.exec(svg)?.[1])
  const rows = Array.from({ length: size }, () => Array.from({ length: size }, () => false))
  const path = /<path stroke="#000" d="([^"]*)"/.exec(svg)?.[1] ?? ''
  let [x, y] = [0, 0]
  for (const [, command, first, second] of path.matchAll(/([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?/g)) {
    if (command === 'M') [x, y] = [Number(first), Number(second) - 0.5]
    else if (command === 'm') x += Number(first)
    else for (const end = x + Number(first); x < end; x++) rows[y]![x] = true
  }
  return rows
}

test('the SVG has the dark modules of the code, and nothing from anywhere else', () => {
  const svg = buildQrSvg(LINK)
  assert.deepEqual(renderSvg(svg), EXPECTED)
  assert.deepEqual(svg.match(/https?:[^"]*/g), ['http://www.w3.org/2000/svg'])
  assert.ok(svg.length < 4096, String(svg.length))
})

test('the data URL holds the SVG itself', () => {
  const [head, body] = buildQrDataUrl(LINK).split(',')
  assert.equal(head, 'data:image/svg+xml;base64')
  assert.equal(Buffer.from(body ?? '', 'base64').toString(), buildQrSvg(LINK))
})

test('the PNG has the dark modules of the code, 8 pixels each way', () => {
  const { width, height, data } = PNG.sync.read(buildQrPng(LINK))
  assert.deepEqual([width, height], [EXPECTED.length * 8, EXPECTED.length * 8])
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const expected = EXPECTED[Math.floor(y / 8)]?.[Math.floor(x / 8)] ? 0 : 255
      if (data[(y * width + x) * 4] !== expected) assert.fail(`pixel ${x},${y}`)
    }
})
