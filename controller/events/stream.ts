/** The JetStream stream that keeps events. https://docs.nats.io/nats-concepts/jetstream/streams */
import { DiscardPolicy, NatsError, nanos, RetentionPolicy, StorageType, type StreamConfig } from 'nats'
import type { NatsSession } from './nats-client.ts'
import { EVENT_STREAM, EVENT_SUBJECTS } from './subjects.ts'

const DAY = 24 * 3_600_000
/** JetStream's answer to adding a stream that exists with another configuration (JSStreamNameExistErr). */
const NAME_EXISTS = 10058
/**
 * Its answers where there are not as many servers as copies are wanted (JSClusterNoPeersErr, JSInsufficientResources;
 * JSStreamReplicasNotSupported).
 */
const TOO_FEW_SERVERS = [10005, 10023, 10074]
/** Copies of the stream at most: with three, one may be lost at any time. */
const MOST_COPIES = 3

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

/**
 * Makes the stream, or gives it the present limits: events of 7 days, 256 MiB in all, 1,000 for one object; a copy on
 * each of `servers` servers, on three at most. False if there are not so many servers yet: it has the copies that it
 * had, or one, until it is ensured again.
 */
export function ensureEventStream(session: NatsSession, servers: number): Promise<boolean> {
  return ensureStream(session, CONFIG, servers)
}

/** As ensureEventStream, for a stream of these limits. */
export async function ensureStream(
  { nats }: NatsSession,
  limits: Partial<StreamConfig> & { name: string },
  servers: number,
): Promise<boolean> {
  const { streams } = await nats.jetstreamManager({ checkAPI: false, timeout: 2_000 })
  const config = { ...limits, num_replicas: Math.min(MOST_COPIES, Math.max(1, servers)) }
  try {
    await fallbackOnCode(NAME_EXISTS, streams.add(config), () => streams.update(limits.name, config))
    return true
  } catch (thrown) {
    if (config.num_replicas === 1 || !isApiError(thrown, ...TOO_FEW_SERVERS)) throw thrown
    await fallbackOnCode(NAME_EXISTS, streams.add({ ...config, num_replicas: 1 }), () => streams.info(limits.name))
    return false
  }
}

function isApiError(thrown: unknown, ...codes: number[]): boolean {
  return thrown instanceof NatsError && codes.includes(thrown.api_error?.err_code ?? 0)
}

/** What was asked for, or something else where it is answered with this error. */
async function fallbackOnCode<T>(code: number, asked: Promise<T>, otherwise: () => Promise<T>): Promise<T> {
  try {
    return await asked
  } catch (thrown) {
    if (isApiError(thrown, code)) return otherwise()
    throw thrown
  }
}
