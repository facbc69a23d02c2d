"""What the tests share: the cluster of KUBECONFIG, a namespace of their own, and the pods that they use.

Each file is run by client-python.ts as `python3 -m unittest FILE`, with NAMESPACE set.
"""

import os
import unittest

from kubernetes import client, config, watch

NAMESPACE = os.environ["NAMESPACE"]
# Seconds after which a watch that sees nothing of what it waits for ends.
PATIENCE = 60


def pod(name, script, listens_on=None, **spec):
    """A pod of busybox that ends at once when told to; one that listens is ready when it does."""
    container = client.V1Container(name="main", image="busybox", command=["sh", "-c", script])
    if listens_on is not None:
        socket = client.V1TCPSocketAction(port=listens_on)
        container.readiness_probe = client.V1Probe(tcp_socket=socket, period_seconds=1)
    return client.V1Pod(
        metadata=client.V1ObjectMeta(name=name, labels={"app": name}),
        spec=client.V1PodSpec(containers=[container], termination_grace_period_seconds=0, **spec),
    )


def config_map(name, labels=None, data=None):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels=labels), data=data)


class ClusterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        config.load_kube_config()
        cls.core = client.CoreV1Api()
        cls.apps = client.AppsV1Api()

    def until(self, condition, list_function, *args, **selection):
        """The first object of a watch of which the condition holds; fails if the watch ends before."""
        for event in watch.Watch().stream(list_function, *args, timeout_seconds=PATIENCE, **selection):
            if condition(event):
                return event["object"]
        self.fail("nothing that the condition holds of was seen")

    def ready(self, name):
        """Waits until a pod is ready."""

        def is_ready(event):
            conditions = event["object"].status.conditions or []
            return any(each.type == "Ready" and each.status == "True" for each in conditions)

        return self.until(is_ready, self.core.list_namespaced_pod, NAMESPACE, field_selector=f"metadata.name={name}")

    def assert_refused(self, status, function, *args, **options):
        """The exception with which the server answers that status."""
        with self.assertRaises(client.ApiException) as caught:
            function(*args, **options)
        self.assertEqual(caught.exception.status, status, caught.exception)
        return caught.exception
