/** A node with a real session and nothing behind it: it takes what it is given, and has a log of one line. */
import type { AssignmentHandler } from '../../agent/session/contract.ts'
import { Outbox } from '../../agent/session/outbox.ts'
import { livenessWith, Session } from '../../agent/session/session.ts'
import { connect } from '../../proto/rpc/rpc.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { systemRandom } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { AnyResource, ExecOutput, Node, ObservedPod } from '../../proto/gen/types.ts'

export class SessionNode implements AssignmentHandler {
  readonly name: string
  readonly pods = new Map<string, string>()
  welcomes = 0
  readonly #outbox = new Outbox()
  readonly #group = new RunGroup()

  constructor(
    name: string,
    controllers: readonly string[],
    tls: { ca: string; cert: string; key: string },
    capacity = { cpu: '4', memory: '4Gi', pods: '100' },
  ) {
    this.name = name
    const node: Node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, namespace: '', uid: '', resourceVersion: '', labels: { 'kubernetes.io/hostname': name } },
      spec: {},
      status: { capacity, allocatable: capacity },
    }
    const outbox = this.#outbox
    const session = new Session({
      controllers,
      connect: (address) => connect(address, tls, livenessWith(controllers.length)),
      workload: this,
      streams: this,
      network: { welcome: () => Promise.resolve(), update: ({ revision }) => outbox.networkApplied(revision) },
      outbox,
      node: () => Promise.resolve(node),
      agentId: 'a',
      version: '1',
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    })
    this.#group.add((signal) => session.run(signal))
  }

  welcome(): Promise<void> {
    this.welcomes++
    return Promise.resolve()
  }

  assign({ set }: { readonly set: readonly AnyResource[] }): void {
    for (const {
      kind,
      metadata: { name, uid },
    } of set)
      if (kind === 'Pod') this.pods.set(uid, name)
  }

  /** What it says of a pod that it was given. */
  report(pod: ObservedPod): void {
    this.#outbox.podStatusChanged(pod)
  }

  endpointsDrained(): void {
    // It runs nothing that it could end.
  }

  observations(): [] {
    return []
  }

  async *logs(podUid: string): AsyncGenerator<Uint8Array, void, undefined> {
    yield Buffer.from(`log of ${this.pods.get(podUid)}\n`)
  }

  async *exec(_podUid: string, { command }: { command: string[] }): AsyncGenerator<ExecOutput, void, undefined> {
    yield { output: { case: 'stdout', value: Buffer.from(command.join(' ')) } }
    yield { output: { case: 'exit', value: { code: 3, message: '' } } }
  }

  async stop(): Promise<void> {
    this.#group.stop()
    await this.#group.wait()
  }
}
