import type { MergedList, NetworkSet } from '#shared/ip-list'
import { mergeNetworks } from '../ip-lists/merge-networks.ts'

/** Piscina task: the sources of a list as the ranges that connections are checked against. */
export default function mergeIpLists(sets: readonly NetworkSet[]): MergedList {
  return mergeNetworks(sets)
}
