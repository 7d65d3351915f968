import type { Target } from './target.ts'
import { clientHello } from './targets/client-hello.ts'
import { config } from './targets/config.ts'
import { dcList } from './targets/dc-list.ts'
import { dns } from './targets/dns.ts'
import { frame } from './targets/frame.ts'
import { handshakeLimits } from './targets/handshakes.ts'
import { http } from './targets/http.ts'
import { ipList } from './targets/ip-list.ts'
import { keySearch } from './targets/key-search.ts'
import { proxyHeader } from './targets/proxy-header.ts'
import { relay } from './targets/relay.ts'
import { records } from './targets/records.ts'
import { serverHello } from './targets/server-hello.ts'
import { socks5 } from './targets/socks5.ts'
import { stateFile } from './targets/state-file.ts'
import { upgrade } from './targets/upgrade.ts'

export const TARGETS: readonly Target[] = [
  clientHello,
  records,
  relay,
  frame,
  proxyHeader,
  ipList,
  config,
  http,
  dns,
  socks5,
  serverHello,
  dcList,
  stateFile,
  upgrade,
  keySearch,
  handshakeLimits,
]
