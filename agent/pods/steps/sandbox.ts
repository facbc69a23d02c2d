/** A pod's sandbox: its network, its namespaces and its files in /etc. */
import { podResolver } from '../../dns/node-link.ts'
import type { Attachment } from '../../network/contract.ts'
import { allocatedPod } from '../plan/resize.ts'
import { sysctlName } from '../../host/sysctl-names.ts'
import { attachRequest, podAddresses } from './attach-request.ts'
import { done, type StepContext, type StepResult } from './contract.ts'
import { sandboxHostname } from './pod-files.ts'
import { podResources } from './cgroup-resources.ts'

export async function makeSandbox({ deps, uid, state }: StepContext, signal: AbortSignal): Promise<StepResult> {
  const { record } = state
  const { pod } = record
  const { spec } = pod
  const attachment: Attachment | undefined =
    spec.hostNetwork === true ? undefined : await deps.network.attach(uid, signal, attachRequest(pod))
  const addresses = attachment === undefined ? [deps.node.address] : podAddresses(attachment)
  const {
    podCidrs,
    cluster: { domain },
  } = await deps.network.ranges(signal)
  const dns = { domain, resolver: podResolver({ podCidrs }, addresses) }
  await deps.runtime.createSandbox({
    id: uid,
    hostname: sandboxHostname(pod, domain) ?? deps.node.hostname,
    network: attachment,
    hostPid: spec.hostPID === true,
    hostIpc: spec.hostIPC === true,
    shareProcessNamespace: spec.shareProcessNamespace === true,
    sysctls: Object.fromEntries(
      (spec.securityContext.sysctls ?? []).map(({ name, value }) => [sysctlName(name), value]),
    ),
    resources: podResources(allocatedPod(record), deps.node.pidsLimit),
  })
  deps.disk.writeEtc(pod, { nodeHostname: deps.node.hostname, addresses, dns })
  return {
    result: 'done',
    changes: [{ change: 'sandboxed', attachment, at: deps.clock.now() }],
    // Written with the first container at the latest; until then nothing hangs on it that another sandbox would not do
    // for.
    write: 'background',
  }
}

export async function teardown({ deps, uid }: StepContext): Promise<StepResult> {
  await deps.runtime.removeSandbox(uid)
  await Promise.all([deps.network.detach(uid), deps.volumes.remove(uid)])
  return done({ change: 'tornDown' })
}
