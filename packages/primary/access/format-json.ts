/** A JSON document whose objects are Maps: user names such as `10` would lose their place in a plain object. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | ReadonlyMap<string, JsonValue>

const INDENT = '  '

/** As `JSON.stringify(value, null, 2)`, with the keys of each Map in its own order. Ends in a newline. */
export function formatJson(value: JsonValue): string {
  return `${format(value, '')}\n`
}

function format(value: JsonValue, indent: string): string {
  const inner = indent + INDENT
  if (value instanceof Map) {
    const members = [...value].map(([key, member]) => `${JSON.stringify(key)}: ${format(member, inner)}`)
    return enclose('{', members, '}', indent)
  }
  if (Array.isArray(value)) {
    const items = value.map((item: JsonValue) => format(item, inner))
    return enclose('[', items, ']', indent)
  }
  return JSON.stringify(value)
}

function enclose(open: string, parts: readonly string[], close: string, indent: string): string {
  if (parts.length === 0) return `${open}${close}`
  const inner = `\n${indent}${INDENT}`
  return `${open}${inner}${parts.join(`,${inner}`)}\n${indent}${close}`
}
