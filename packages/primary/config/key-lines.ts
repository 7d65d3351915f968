/** Joins the keys of a path; cannot stand in a TOML key that was typed by hand. */
const SEPARATOR = '\u0000'

/** 1-based lines of keys and table headers, for error messages. */
export class KeyLines {
  readonly #lines: ReadonlyMap<string, number>

  constructor(lines: ReadonlyMap<string, number>) {
    this.#lines = lines
  }

  /** The line of the key, else that of the table or the inline value which holds it. */
  find(path: readonly string[]): number | undefined {
    for (let length = path.length; length > 0; length--) {
      const line = this.#lines.get(path.slice(0, length).join(SEPARATOR))
      if (line !== undefined) return line
    }
    return undefined
  }

  /** All paths written in the file and the tables above them; inline tables are not entered. */
  paths(): readonly (readonly string[])[] {
    return [...this.#lines.keys()].map((joined) => joined.split(SEPARATOR))
  }
}

const TRIVIA = /(?:[ \t\r\n]|#[^\n]*)*/y
const KEY = /[ \t]*(?:"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)'|([A-Za-z0-9_-]+))[ \t]*(\.?)/y
/** Strings first, so that what they contain is not taken for brackets or comments. */
const VALUE_TOKEN =
  /"""(?:[^\\]|\\[^])*?"{3,5}|'''[^]*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[[{]|[\]}]|\n|[^]/y

/**
 * Where each key stands, in a text that has already been accepted by the TOML parser: the parser gives values without
 * places. Whatever this scanner does not understand ends it, and the keys after that have no line.
 */
export function findKeyLines(text: string): KeyLines {
  const lines = new Map<string, number>()
  const line = createLineCounter(text)
  let table: readonly string[] = []
  let at = 0
  for (;;) {
    TRIVIA.lastIndex = at
    TRIVIA.exec(text)
    at = TRIVIA.lastIndex
    if (at >= text.length) break
    const start = at
    const brackets = text.startsWith('[[', at) ? 2 : text[at] === '[' ? 1 : 0
    const key = readKey(text, at + brackets)
    if (key === null) break
    const path = brackets > 0 ? key.path : [...table, ...key.path]
    const here = line(start)
    for (let length = 1; length <= path.length; length++) {
      const joined = path.slice(0, length).join(SEPARATOR)
      if (!lines.has(joined)) lines.set(joined, here)
    }
    if (brackets > 0) table = path
    at = skipValue(text, key.end)
  }
  return new KeyLines(lines)
}

function readKey(text: string, start: number): { path: string[]; end: number } | null {
  const path: string[] = []
  KEY.lastIndex = start
  for (;;) {
    const match = KEY.exec(text)
    if (match === null) return null
    const [, basic, literal, bare, dot] = match
    path.push(basic === undefined ? (literal ?? bare ?? '') : unescapeBasic(basic))
    if (dot === '') return { path, end: KEY.lastIndex }
  }
}

/** The escapes of TOML which JSON has too; others are rare in keys, and such a key merely has no line. */
function unescapeBasic(inner: string): string {
  try {
    return String(JSON.parse(`"${inner}"`))
  } catch {
    return inner
  }
}

/** From behind a key to the end of the statement: the first newline outside of strings and brackets. */
function skipValue(text: string, start: number): number {
  let depth = 0
  VALUE_TOKEN.lastIndex = start
  for (;;) {
    const token = VALUE_TOKEN.exec(text)?.[0]
    if (token === undefined) return text.length
    if (token === '[' || token === '{') depth++
    else if (token === ']' || token === '}') depth--
    else if (token === '\n' && depth <= 0) return VALUE_TOKEN.lastIndex
  }
}

/** Counts on from the place of the last question, so that the whole file is counted once. */
function createLineCounter(text: string): (offset: number) => number {
  let line = 1
  let counted = 0
  return (offset) => {
    for (
      let next = text.indexOf('\n', counted);
      next >= 0 && next < offset;
      next = text.indexOf('\n', counted)
    ) {
      line++
      counted = next + 1
    }
    return line
  }
}
