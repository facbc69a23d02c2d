/** Networks: their numbers and ranges are claimed, and recorded, in the transaction that writes them. */
import type { Strategy } from './strategy.ts'

export const networkStrategy: Strategy<'Network'> = { participants: ['network-allocations'] }
