"""Leader election: the client's own, which locks a ConfigMap, and one by a Lease."""

import datetime
import subprocess
import sys

from kubernetes import client
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

from common import NAMESPACE, ClusterTest

LOCK = "python-leader"


def lead(identity):
    """Waits to be the leader, says so, and leads until it is ended."""
    settings = electionconfig.Config(
        ConfigMapLock(LOCK, NAMESPACE, identity),
        lease_duration=3,
        renew_deadline=2,
        retry_period=1,
        onstarted_leading=lambda: print(f"{identity} leads", flush=True),
        onstopped_leading=lambda: print(f"{identity} leads no more", flush=True),
    )
    leaderelection.LeaderElection(settings).run()


class Leaders(ClusterTest):
    def candidate(self, identity):
        process = subprocess.Popen(
            [sys.executable, __file__, identity], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

        def end():
            process.kill()
            process.wait()
            process.stdout.close()

        self.addCleanup(end)
        return process

    def test_one_follows_another_by_a_config_map(self):
        one = self.candidate("one")
        self.assertEqual(one.stdout.readline(), "one leads\n")
        two = self.candidate("two")
        one.kill()
        self.assertEqual(two.stdout.readline(), "two leads\n")
        record = self.core.read_namespaced_config_map(LOCK, NAMESPACE).metadata.annotations
        self.assertIn('"holderIdentity": "two"', record["control-plane.alpha.kubernetes.io/leader"])

    def test_one_of_two_takes_a_lease(self):
        leases = client.CoordinationV1Api()
        now = datetime.datetime.now(datetime.timezone.utc)
        spec = client.V1LeaseSpec(holder_identity="one", lease_duration_seconds=15, acquire_time=now, renew_time=now)
        body = client.V1Lease(metadata=client.V1ObjectMeta(name="leader"), spec=spec)
        lease = leases.create_namespaced_lease(NAMESPACE, body)
        self.assertEqual(lease.spec.renew_time, now)
        lease.spec.renew_time = now + datetime.timedelta(seconds=1)
        leases.replace_namespaced_lease("leader", NAMESPACE, lease)
        lease.spec.holder_identity = "two"
        self.assert_refused(409, leases.replace_namespaced_lease, "leader", NAMESPACE, lease)
        released = leases.patch_namespaced_lease("leader", NAMESPACE, {"spec": {"holderIdentity": ""}})
        self.assertEqual(released.spec.holder_identity, "")


if __name__ == "__main__":
    from kubernetes import config

    config.load_kube_config()
    lead(sys.argv[1])
