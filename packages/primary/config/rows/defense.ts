import type { IpListSource, Pacing, RefuseAction } from '#shared/config'
import { showUrl } from '#shared/show-url'
import { MIN_REPLAY_BYTES } from '#shared/state/replay-set'

import { decodeByteSize } from '../byte-size.ts'
import { decodeAutoOrInteger, decodeErrorRate, decodeOneOf, MAX_COUNT } from '../decoders.ts'
import { BOOLEAN, byteSize, COUNT, DURATION, plain, REFUSE_ACTION } from '../formats.ts'
import { decodeHttpsUrls, decodeSources, showSources } from '../ip-list-source.ts'
import type { Format, Rows } from '../schema-row.ts'

/** Shared memory is reserved at start: more is a slip in the unit, not a wish. */
const MAX_REPLAY_BYTES = 2 ** 30

const SOURCES: Format<readonly IpListSource[]> = { decode: decodeSources, show: showSources }

export interface DefenseValues {
  'defense.max-handshakes': number | 'auto'
  'defense.max-handshakes-per-address': number | 'auto'
  'defense.anti-replay.enabled': boolean
  'defense.anti-replay.max-size': number
  'defense.anti-replay.error-rate': number
  'defense.blocklist.enabled': boolean
  'defense.blocklist.urls': readonly IpListSource[]
  'defense.blocklist.download-concurrency': number
  'defense.blocklist.update-each': number
  'defense.blocklist.action': RefuseAction
  'defense.allowlist.enabled': boolean
  'defense.allowlist.urls': readonly IpListSource[]
  'defense.allowlist.download-concurrency': number
  'defense.allowlist.update-each': number
  'defense.allowlist.action': RefuseAction
  'defense.doppelganger.urls': readonly string[]
  'defense.doppelganger.repeats-per-raid': number
  'defense.doppelganger.raid-each': number
  'defense.doppelganger.drs': boolean
  'defense.doppelganger.pacing': Pacing
  'defense.doppelganger.learn-front': boolean
}

export const DEFENSE_ROWS: Rows<DefenseValues> = {
  'defense.max-handshakes': {
    ...plain(decodeAutoOrInteger(0, MAX_COUNT)),
    default: 'auto',
    reload: 'live',
    help: 'Connections that have not finished their handshake. "auto": a quarter of concurrency; 0: no limit.',
  },
  'defense.max-handshakes-per-address': {
    ...plain(decodeAutoOrInteger(0, MAX_COUNT)),
    default: 'auto',
    reload: 'live',
    help: 'Of these from one IPv4 address or IPv6 /64. "auto": a sixteenth of concurrency; 0: no limit.',
  },
  'defense.anti-replay.enabled': {
    ...BOOLEAN,
    default: true,
    reload: 'restart',
    help: 'Send repeated hellos to the fronting host.',
  },
  'defense.anti-replay.max-size': {
    ...byteSize(
      decodeByteSize({
        minBytes: MIN_REPLAY_BYTES,
        maxBytes: MAX_REPLAY_BYTES,
        why: 'less would forget hellos too early',
      }),
    ),
    default: MIN_REPLAY_BYTES,
    reload: 'restart',
    zero: 'default',
    help: 'Memory for the hellos that have been seen.',
  },
  'defense.anti-replay.error-rate': {
    ...plain(decodeErrorRate),
    default: 0.001,
    reload: 'live',
    zero: 'default',
    unused: 'the replay set is exact',
    help: 'Has no effect: there are no false alarms.',
  },
  'defense.blocklist.enabled': {
    ...BOOLEAN,
    default: false,
    reload: 'live',
    help: 'Refuse clients from the networks of the blocklist.',
  },
  'defense.blocklist.urls': {
    ...SOURCES,
    default: [],
    reload: 'live',
    zero: 'default',
    help: 'Where the blocklist comes from: URLs, and files of this host.',
  },
  'defense.blocklist.download-concurrency': {
    ...COUNT,
    default: 2,
    reload: 'live',
    zero: 'default',
    help: 'How many of its sources are fetched at once.',
  },
  'defense.blocklist.update-each': {
    ...DURATION,
    default: 86_400_000,
    reload: 'live',
    zero: 'default',
    help: 'How often it is fetched again.',
  },
  'defense.blocklist.action': {
    ...REFUSE_ACTION,
    default: 'close',
    reload: 'live',
    help: 'What becomes of a client that is on it: "close" or "front".',
  },
  'defense.allowlist.enabled': {
    ...BOOLEAN,
    default: false,
    reload: 'live',
    help: 'Refuse clients that are not in the networks of the allowlist.',
  },
  'defense.allowlist.urls': {
    ...SOURCES,
    default: [],
    reload: 'live',
    zero: 'default',
    help: 'Where the allowlist comes from: URLs, and files of this host.',
  },
  'defense.allowlist.download-concurrency': {
    ...COUNT,
    default: 2,
    reload: 'live',
    zero: 'default',
    help: 'How many of its sources are fetched at once.',
  },
  'defense.allowlist.update-each': {
    ...DURATION,
    default: 86_400_000,
    reload: 'live',
    zero: 'default',
    help: 'How often it is fetched again.',
  },
  'defense.allowlist.action': {
    ...REFUSE_ACTION,
    default: 'close',
    reload: 'live',
    help: 'What becomes of a client that is not on it: "close" or "front".',
  },
  'defense.doppelganger.urls': {
    decode: decodeHttpsUrls,
    show: (urls) => urls.map(showUrl),
    default: [],
    reload: 'live',
    zero: 'default',
    help: 'Pages of the fronting site whose timing is learnt.',
  },
  'defense.doppelganger.repeats-per-raid': {
    ...COUNT,
    default: 10,
    reload: 'live',
    zero: 'default',
    help: 'How often each page is visited to learn from it.',
  },
  'defense.doppelganger.raid-each': {
    ...DURATION,
    default: 21_600_000,
    reload: 'live',
    zero: 'default',
    help: 'How often the pages are visited again.',
  },
  'defense.doppelganger.drs': {
    ...BOOLEAN,
    default: false,
    reload: 'live',
    help: 'Begin with small TLS records and grow, as large sites do.',
  },
  'defense.doppelganger.pacing': {
    ...plain(decodeOneOf(['burst', 'full', 'off'])),
    default: 'burst',
    reload: 'live',
    help: 'Which part of a download is paced like the fronting site: "burst", "full" or "off".',
  },
  'defense.doppelganger.learn-front': {
    ...BOOLEAN,
    default: true,
    reload: 'live',
    help: 'See how the fronting host answers a TLS handshake, and answer clients like it.',
  },
}
