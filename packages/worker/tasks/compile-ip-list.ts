import type { CompiledSource, IpListText } from '#shared/ip-list'
import { MAX_NETWORKS } from '../ip-lists/networks.ts'
import { parseIpList } from '../ip-lists/parse-ip-list.ts'

/**
 * Piscina task: read what one source says.
 * @throws Error when it says too much, or nothing but what is no network: an error page with status 200 is not a list
 */
export default function compileIpList({ text }: IpListText): CompiledSource {
  const parsed = parseIpList(text)
  if (!parsed.ok) throw new Error(`more than ${MAX_NETWORKS} networks`)
  const { source } = parsed
  const [first] = source.badLines
  if (source.networkCount === 0 && first !== undefined)
    throw new Error(`not an IP list: no network in it, line ${first.line} is "${first.text}"`)
  return source
}
