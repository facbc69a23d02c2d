"""Objects as the client's own types have them: made, read, listed, replaced, patched and deleted."""

import json
import tempfile

from kubernetes import client, utils

from common import NAMESPACE, ClusterTest, config_map, pod


class Objects(ClusterTest):
    def test_are_created_read_and_listed_page_by_page(self):
        for name in ("page-a", "page-b", "page-c"):
            made = self.core.create_namespaced_config_map(NAMESPACE, config_map(name, {"set": "pages"}, {"name": name}))
            self.assertEqual(made.data, {"name": name})
            self.assertIsNotNone(made.metadata.creation_timestamp.tzinfo)
        seen, token = [], None
        while token != "":
            page = self.core.list_namespaced_config_map(NAMESPACE, label_selector="set=pages", limit=2, _continue=token)
            seen.append([item.metadata.name for item in page.items])
            token = page.metadata._continue or ""
        self.assertEqual(seen, [["page-a", "page-b"], ["page-c"]])
        self.assert_refused(404, self.core.read_namespaced_config_map, "nobody", NAMESPACE)
        refusal = self.assert_refused(409, self.core.create_namespaced_config_map, NAMESPACE, config_map("page-a"))
        self.assertEqual(json.loads(refusal.body)["reason"], "AlreadyExists")

    def test_are_replaced_where_nobody_else_has_changed_them(self):
        stale = self.core.create_namespaced_config_map(NAMESPACE, config_map("replaced", data={"a": "1"}))
        stale.data = {"a": "2"}
        fresh = self.core.replace_namespaced_config_map("replaced", NAMESPACE, stale)
        self.assertEqual(fresh.data, {"a": "2"})
        self.assert_refused(409, self.core.replace_namespaced_config_map, "replaced", NAMESPACE, stale)

    def test_are_patched_in_every_way(self):
        self.core.create_namespaced_config_map(NAMESPACE, config_map("patched", data={"a": "1"}))
        patch = self.core.patch_namespaced_config_map
        # The client takes a list for a JSON patch, and anything else for a strategic merge patch.
        self.assertEqual(patch("patched", NAMESPACE, {"data": {"b": "2"}}).data, {"a": "1", "b": "2"})
        steps = [{"op": "replace", "path": "/data/a", "value": "3"}, {"op": "remove", "path": "/data/b"}]
        self.assertEqual(patch("patched", NAMESPACE, steps).data, {"a": "3"})
        merged = self.patch_as("application/merge-patch+json", {"data": {"a": None, "c": "4"}})
        self.assertEqual(merged.data, {"c": "4"})
        applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "patched"}, "data": {"d": "5"}}
        result = self.patch_as("application/apply-patch+yaml", applied, field_manager="python", force=True)
        self.assertEqual(result.data, {"c": "4", "d": "5"})
        self.assertIn("python", [entry.manager for entry in result.metadata.managed_fields])

    def patch_as(self, content_type, body, **options):
        """The client chooses the form of a patch by itself, unless it is told to choose from one only."""
        api_client = client.ApiClient()
        api_client.select_header_content_type = lambda *_: content_type
        return client.CoreV1Api(api_client).patch_namespaced_config_map("patched", NAMESPACE, body, **options)

    def test_are_written_by_no_dry_run(self):
        made = self.core.create_namespaced_config_map(NAMESPACE, config_map("dry"), dry_run="All")
        self.assertEqual(made.metadata.name, "dry")
        self.assert_refused(404, self.core.read_namespaced_config_map, "dry", NAMESPACE)

    def test_are_deleted_with_options(self):
        for name in ("gone-a", "gone-b", "gone-c"):
            self.core.create_namespaced_config_map(NAMESPACE, config_map(name, {"set": "gone"}))
        wrong = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="another"))
        self.assert_refused(409, self.core.delete_namespaced_config_map, "gone-a", NAMESPACE, body=wrong)
        status = self.core.delete_namespaced_config_map("gone-a", NAMESPACE, grace_period_seconds=0)
        self.assertEqual((status.status, status.details.name), ("Success", "gone-a"))
        self.core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="set=gone")
        self.assertEqual(self.core.list_namespaced_config_map(NAMESPACE, label_selector="set=gone").items, [])

    def test_of_an_owner_stay_or_go_as_the_deletion_says(self):
        for name, options in (
            ("dependents-go", client.V1DeleteOptions(propagation_policy="Foreground")),
            ("dependents-stay", client.V1DeleteOptions(orphan_dependents=True)),
        ):
            self.apps.create_namespaced_deployment(NAMESPACE, deployment(name))
            selector = f"app={name}"
            sets = self.apps.list_namespaced_replica_set
            found = self.until(lambda event: event["type"] == "ADDED", sets, NAMESPACE, label_selector=selector)
            self.apps.delete_namespaced_deployment(name, NAMESPACE, body=options)
            later = {"label_selector": selector, "resource_version": found.metadata.resource_version}
            if name == "dependents-go":
                self.until(lambda event: event["type"] == "DELETED", sets, NAMESPACE, **later)
            else:
                orphan = self.until(has_no_owner, sets, NAMESPACE, **later)
                self.assertEqual(orphan.spec.replicas, 0)

    def test_come_from_yaml(self):
        text = """
apiVersion: v1
kind: ConfigMap
metadata: {name: from-yaml}
data: {a: "1"}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: from-yaml}
  spec: {selector: {app: from-yaml}, ports: [{port: 80}]}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: from-yaml}
  spec:
    replicas: 0
    selector: {matchLabels: {app: from-yaml}}
    template:
      metadata: {labels: {app: from-yaml}}
      spec: {containers: [{name: main, image: busybox}]}
"""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            utils.create_from_yaml(client.ApiClient(), file.name, namespace=NAMESPACE)
            with self.assertRaises(utils.FailToCreateError) as caught:
                utils.create_from_yaml(client.ApiClient(), file.name, namespace=NAMESPACE)
        self.assertEqual({each.status for each in caught.exception.api_exceptions}, {409})
        service = self.core.read_namespaced_service("from-yaml", NAMESPACE)
        self.assertEqual(service.spec.ports[0].target_port, 80)
        self.assertEqual(self.apps.read_namespaced_deployment("from-yaml", NAMESPACE).spec.replicas, 0)

    def test_have_scales_and_states(self):
        self.apps.create_namespaced_deployment(NAMESPACE, deployment("scaled"))
        scale = self.apps.patch_namespaced_deployment_scale("scaled", NAMESPACE, {"spec": {"replicas": 1}})
        self.assertEqual(scale.spec.replicas, 1)
        deployments = self.apps.list_namespaced_deployment
        selector = "metadata.name=scaled"
        self.until(has_one_ready, deployments, NAMESPACE, field_selector=selector)

    def test_of_every_kind_are_read_into_the_clients_types(self):
        self.core.create_namespaced_pod(NAMESPACE, pod("typed", "sleep 1000"))
        self.ready("typed")
        typed = self.core.read_namespaced_pod("typed", NAMESPACE)
        [status] = typed.status.container_statuses
        self.assertEqual((status.ready, status.restart_count, status.last_state.terminated), (True, 0, None))
        [node] = [item for item in self.core.list_node().items if item.metadata.name == typed.spec.node_name]
        self.assertTrue(node.status.node_info.kernel_version)
        for listed in (
            self.core.list_namespace(),
            self.core.list_namespaced_secret(NAMESPACE),
            self.core.list_namespaced_service_account(NAMESPACE),
            self.core.list_namespaced_event(NAMESPACE),
            self.apps.list_namespaced_replica_set(NAMESPACE),
            client.CoordinationV1Api().list_lease_for_all_namespaces(),
            client.DiscoveryV1Api().list_namespaced_endpoint_slice("default"),
            client.NetworkingV1Api().list_namespaced_ingress(NAMESPACE),
            client.NetworkingV1Api().list_namespaced_network_policy(NAMESPACE),
            client.ApiextensionsV1Api().list_custom_resource_definition(),
            client.AdmissionregistrationV1Api().list_validating_admission_policy(),
        ):
            self.assertIsNotNone(listed.metadata.resource_version)
        self.assertTrue(client.VersionApi().get_code().git_version)


def has_no_owner(event):
    return not event["object"].metadata.owner_references


def has_one_ready(event):
    return event["object"].status.ready_replicas == 1


def deployment(name):
    labels = {"app": name}
    container = client.V1Container(name="main", image="busybox", command=["sleep", "1000"])
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels),
        spec=client.V1PodSpec(containers=[container], termination_grace_period_seconds=0),
    )
    spec = client.V1DeploymentSpec(replicas=0, selector=client.V1LabelSelector(match_labels=labels), template=template)
    return client.V1Deployment(metadata=client.V1ObjectMeta(name=name, labels=labels), spec=spec)
