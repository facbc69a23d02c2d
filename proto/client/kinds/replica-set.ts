import type { KindRecord } from './kind-record.ts'
import { replicatedRecord } from './replicated.ts'

export const replicaSet: KindRecord<'ReplicaSet'> = replicatedRecord(6)
