/** The JetStream stream that keeps events. https://docs.nats.io/nats-concepts/jetstream/streams */
import { DiscardPolicy, NatsError, nanos, RetentionPolicy, StorageType, type StreamConfig } from 'nats'
import type { NewsSession } from './connection.ts'
import { EVENT_STREAM, EVENT_SUBJECTS } from './subjects.ts'

const DAY = 24 * 3_600_000
/** JetStream's answer to adding a stream that exists with another configuration (JSStreamNameExistErr). */
const NAME_EXISTS = 10058

const CONFIG: Partial<StreamConfig> & { name: string } = {
  name: EVENT_STREAM,
  subjects: [EVENT_SUBJECTS],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  discard: DiscardPolicy.Old,
  max_age: nanos(7 * DAY),
  max_bytes: 256 * 1024 * 1024,
  // One object that fails again and again does not push out the news of all others.
  max_msgs_per_subject: 1_000,
  duplicate_window: nanos(120_000),
}

/** Makes the stream, or gives it the present limits: events of 7 days, 256 MiB in all, 1,000 for one object. */
export async function ensureEventStream({ nats }: NewsSession): Promise<void> {
  const jetstream = await nats.jetstreamManager({ checkAPI: false, timeout: 2_000 })
  try {
    await jetstream.streams.add(CONFIG)
  } catch (thrown) {
    if (!(thrown instanceof NatsError) || thrown.api_error?.err_code !== NAME_EXISTS) throw thrown
    await jetstream.streams.update(EVENT_STREAM, CONFIG)
  }
}
