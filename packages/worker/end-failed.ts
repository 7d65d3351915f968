import { BugError, DialError, HandshakeError, ProxyHeaderError } from '#shared/errors'
import type { Connection } from './connection.ts'
import { countHandshake } from './count-handshake.ts'
import { front } from './domain-fronting/front.ts'
import { countProxyHeader } from './learn-client.ts'

/**
 * What becomes of a connection that failed in one of its stages: the site for those who may be strangers, else its end.
 * Rejects only for a bug of ours.
 */
export async function endFailed(connection: Connection, error: unknown): Promise<void> {
  const { thread, log, stage } = connection
  if (stage === 'closed') return
  if (error instanceof ProxyHeaderError) {
    countProxyHeader(thread, error.code)
    log.debug('cannot read PROXY header', { error: error.message })
    return connection.close(`proxy protocol: ${error.code}`)
  }
  if (error instanceof HandshakeError) {
    countHandshake(thread.counters, error.code)
    log.debug(describe(connection, error), { error: error.message })
    // To whoever fails before we have answered a byte we are the site, unless it is a user whom a limit refuses.
    if (stage === 'hello' && error.action === 'front') return front(connection, error)
    return connection.close(error.code)
  }
  if (error instanceof DialError) return connection.close(`cannot dial to telegram: ${error.code}`)
  connection.close('bug')
  throw new BugError('a connection failed in a way that is no doing of its peer', { cause: error })
}

function describe({ stage }: Connection, { code }: HandshakeError): string {
  if (code === 'refused') return 'connection throttled'
  if (code === 'quota') return 'the quota of the user is used up'
  return stage === 'hello' ? 'cannot read client hello' : 'obfuscated handshake is failed'
}
