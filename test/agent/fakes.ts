/** Stand-ins for the parts of a node that need a kernel or a registry. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import type { Image, ImageConfig, ImageService } from '../../agent/images/contract.ts'
import type { Attachment, PodNetwork, NodeRanges } from '../../agent/network/contract.ts'
import type { HandlerRunner, HandlerTarget, ProbeOutcome } from '../../agent/pods/health/contract.ts'
import type { Container, Event, LifecycleHandler, ObservedPod, Pod, ProbeHandler } from '../../proto/gen/types.ts'
import type { StatusSink } from '../../agent/session/contract.ts'

const IMAGE_CONFIG: ImageConfig = {
  env: [],
  entrypoint: [],
  cmd: ['/bin/app'],
  workingDir: '',
  user: '',
  stopSignal: '',
  volumes: [],
  labels: {},
}

/** Every image exists, unless `failure` says otherwise; root filesystems are plain directories. */
export class FakeImages implements ImageService {
  readonly root: string
  readonly rootfs = new Set<string>()
  readonly ensured: string[] = []
  failure: (reference: string) => GantryError | undefined = () => undefined
  config: Partial<ImageConfig> = {}
  /** Pulls end no sooner. */
  held: Promise<void> | undefined

  constructor(root: string) {
    this.root = root
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }

  async ensure(reference: string): Promise<Image> {
    this.ensured.push(reference)
    await this.held
    const failure = this.failure(reference)
    if (failure !== undefined) throw failure
    return this.#image(reference)
  }

  load(): Promise<readonly Image[]> {
    return Promise.resolve([])
  }

  find(reference: string): Promise<Image | undefined> {
    return Promise.resolve(this.#image(reference))
  }

  list(): Promise<readonly Image[]> {
    return Promise.resolve([])
  }

  async mountRootfs(key: string): Promise<{ path: string }> {
    const path = join(this.root, key)
    await mkdir(path, { recursive: true })
    this.rootfs.add(key)
    return { path }
  }

  async removeRootfs(key: string): Promise<void> {
    this.rootfs.delete(key)
    await rm(join(this.root, key), { recursive: true, force: true })
  }

  listRootfs(): Promise<readonly string[]> {
    return Promise.resolve([...this.rootfs])
  }

  collect(_options: Parameters<ImageService['collect']>[0]): Promise<readonly Image[]> {
    return Promise.resolve([])
  }

  #image(reference: string): Image {
    return {
      reference: `docker.io/library/${reference}`,
      digest: `sha256:${Buffer.from(reference).toString('hex')}`,
      id: `sha256:${reference}`,
      size: 1,
      config: { ...IMAGE_CONFIG, ...this.config },
    }
  }
}

/** Probes and hooks as a test has them; whatever is not said succeeds. */
export class FakeActions implements HandlerRunner {
  readonly probed: { readonly handler: ProbeHandler; readonly target: HandlerTarget }[] = []
  readonly hooked: { readonly handler: LifecycleHandler; readonly target: HandlerTarget }[] = []
  outcome: (handler: ProbeHandler, target: HandlerTarget) => ProbeOutcome = () => ({ verdict: 'success', message: '' })
  /** Ends a hook; rejects where it fails. */
  hooks: (handler: LifecycleHandler, signal: AbortSignal) => Promise<void> = () => Promise.resolve()

  probe(handler: ProbeHandler, target: HandlerTarget): Promise<ProbeOutcome> {
    this.probed.push({ handler, target })
    return Promise.resolve(this.outcome(handler, target))
  }

  hook(handler: LifecycleHandler, target: HandlerTarget, signal: AbortSignal): Promise<void> {
    this.hooked.push({ handler, target })
    return this.hooks(handler, signal)
  }
}

export class FakeNetwork implements PodNetwork {
  readonly attached = new Map<string, Attachment>()
  ranges: NodeRanges | undefined
  #next = 2

  start(ranges: NodeRanges, known: ReadonlyMap<string, Attachment>): Promise<void> {
    this.ranges = ranges
    for (const id of this.attached.keys()) if (!known.has(id)) this.attached.delete(id)
    return Promise.resolve()
  }

  attach(id: string): Promise<Attachment> {
    const address = `10.1.0.${this.#next++}`
    const attachment = this.attached.get(id) ?? { netns: `/netns/${id}`, address, addresses: [address] }
    this.attached.set(id, attachment)
    return Promise.resolve(attachment)
  }

  detach(id: string): Promise<void> {
    this.attached.delete(id)
    return Promise.resolve()
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }
}

/** Keeps what it is told. */
export class RecordedReports implements StatusSink {
  readonly pods: ObservedPod[] = []
  readonly events: Event[] = []

  podStatusChanged(pod: ObservedPod): void {
    this.pods.push(pod)
  }

  event(event: Event): void {
    this.events.push(event)
  }

  latest(name: string): ObservedPod | undefined {
    return this.pods.findLast((pod) => pod.name === name)
  }
}

export function makeContainer(name: string, fields: Partial<Container> = {}): Container {
  return {
    name,
    image: 'app',
    resources: {},
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
    ...fields,
  }
}

export function makePod(name: string, spec: Partial<Pod['spec']> = {}, metadata: Partial<Pod['metadata']> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid: `uid-${name}`, resourceVersion: '1', ...metadata },
    spec: {
      containers: [makeContainer('main')],
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      schedulerName: 'default-scheduler',
      securityContext: {},
      ...spec,
    },
    status: {},
  }
}

export { until } from '../eventually.ts'
