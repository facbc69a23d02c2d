/** The ecosystem's own clients, unchanged, on one cluster of two nodes. */
import { access } from './kubectl/access.ts'
import { admission } from './kubectl/admission.ts'
import { applying } from './kubectl/applying.ts'
import { changing } from './kubectl/changing.ts'
import { clientNode } from './kubectl/client-node.ts'
import { clientPython } from './kubectl/client-python.ts'
import { creating } from './kubectl/creating.ts'
import { deleting } from './kubectl/deleting.ts'
import { inPod } from './kubectl/in-pod.ts'
import { Kubectl } from './kubectl/kubectl.ts'
import { thirdPartyManifests } from './kubectl/third-party-manifests.ts'
import { nodes } from './kubectl/nodes.ts'
import { output } from './kubectl/output.ts'
import { rollouts } from './kubectl/rollouts.ts'
import { runningPods } from './kubectl/running-pods.ts'
import { streaming } from './kubectl/streaming.ts'

describe('clients of Kubernetes', function () {
  this.timeout(180_000)
  let kubectl: Kubectl | undefined

  before(async () => {
    kubectl = await Kubectl.start('kubernetes', 2)
  })

  after(async () => {
    await kubectl?.stop()
  })

  const manifests = thirdPartyManifests(() => kubectl!)
  for (const suite of [
    output,
    applying,
    changing,
    creating,
    rollouts,
    runningPods,
    manifests.accepted,
    streaming,
    deleting,
    access,
    clientNode,
    clientPython,
    inPod,
    manifests.running,
    nodes,
    admission,
  ])
    suite(() => kubectl!)
})
