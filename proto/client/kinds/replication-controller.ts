import type { KindRecord } from './kind-record.ts'
import { replicatedRecord } from './replicated.ts'

export const replicationController: KindRecord<'ReplicationController'> = replicatedRecord(2)
