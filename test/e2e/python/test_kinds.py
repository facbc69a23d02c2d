"""Kinds that the client does not have types for: the dynamic client, and objects of custom kinds."""

from kubernetes import client, dynamic

from common import NAMESPACE, ClusterTest

GROUP = "python.example.com"
PLURAL = "crontabs"


class Kinds(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        replicas = client.V1JSONSchemaProps(type="integer", minimum=1, default=1)
        schedule = client.V1JSONSchemaProps(type="string")
        spec = client.V1JSONSchemaProps(
            type="object", required=["schedule"], properties={"schedule": schedule, "replicas": replicas}
        )
        status = client.V1JSONSchemaProps(type="object", x_kubernetes_preserve_unknown_fields=True)
        schema = client.V1JSONSchemaProps(type="object", properties={"spec": spec, "status": status})
        version = client.V1CustomResourceDefinitionVersion(
            name="v1",
            served=True,
            storage=True,
            schema=client.V1CustomResourceValidation(open_apiv3_schema=schema),
            subresources=client.V1CustomResourceSubresources(status={}),
        )
        names = client.V1CustomResourceDefinitionNames(plural=PLURAL, singular="crontab", kind="CronTab")
        cls.extensions = client.ApiextensionsV1Api()
        cls.extensions.create_custom_resource_definition(
            client.V1CustomResourceDefinition(
                metadata=client.V1ObjectMeta(name=f"{PLURAL}.{GROUP}"),
                spec=client.V1CustomResourceDefinitionSpec(
                    group=GROUP, scope="Namespaced", names=names, versions=[version]
                ),
            )
        )

        def established(event):
            conditions = event["object"].status.conditions or []
            return any(each.type == "Established" and each.status == "True" for each in conditions)

        cls().until(
            established,
            cls.extensions.list_custom_resource_definition,
            field_selector=f"metadata.name={PLURAL}.{GROUP}",
        )

    @classmethod
    def tearDownClass(cls):
        cls.extensions.delete_custom_resource_definition(f"{PLURAL}.{GROUP}")

    def test_of_the_schema_are_used_by_the_dynamic_client(self):
        maps = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="ConfigMap")
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dynamic"}, "data": {"a": "1"}}
        made = maps.create(body=body, namespace=NAMESPACE)
        self.assertEqual(made.data.a, "1")
        merge = "application/merge-patch+json"
        patched = maps.patch(
            body={"data": {"a": "2"}}, name="dynamic", namespace=NAMESPACE, content_type=merge
        )
        self.assertEqual(patched.data.a, "2")
        applied = maps.server_side_apply(
            body={**body, "data": {"b": "3"}}, namespace=NAMESPACE, field_manager="python", force_conflicts=True
        )
        self.assertEqual(dict(applied.data), {"a": "2", "b": "3"})
        seen = [
            event["object"].metadata.name
            for event in maps.watch(namespace=NAMESPACE, name="dynamic", timeout=1)
        ]
        self.assertEqual(seen, ["dynamic"])
        maps.delete(name="dynamic", namespace=NAMESPACE)
        with self.assertRaises(dynamic.exceptions.NotFoundError):
            maps.get(name="dynamic", namespace=NAMESPACE)

    def test_that_are_defined_are_used_by_the_dynamic_client(self):
        tabs = dynamic.DynamicClient(client.ApiClient()).resources.get(
            api_version=f"{GROUP}/v1", kind="CronTab"
        )
        body = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "CronTab",
            "metadata": {"name": "dynamic"},
            "spec": {"schedule": "@daily"},
        }
        made = tabs.create(body=body, namespace=NAMESPACE)
        self.assertEqual(made.spec.replicas, 1)
        tabs.status.patch(
            body={"status": {"last": "today"}},
            name="dynamic",
            namespace=NAMESPACE,
            content_type="application/merge-patch+json",
        )
        self.assertEqual(tabs.get(name="dynamic", namespace=NAMESPACE).status.last, "today")
        with self.assertRaises(dynamic.exceptions.UnprocessibleEntityError):
            tabs.create(body={**body, "metadata": {"name": "bad"}, "spec": {"replicas": 0}}, namespace=NAMESPACE)

    def test_that_are_defined_are_used_as_plain_objects(self):
        custom = client.CustomObjectsApi()
        place = {"group": GROUP, "version": "v1", "namespace": NAMESPACE, "plural": PLURAL}
        body = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "CronTab",
            "metadata": {"name": "plain"},
            "spec": {"schedule": "@hourly"},
        }
        custom.create_namespaced_custom_object(body=body, **place)
        custom.patch_namespaced_custom_object(name="plain", body={"spec": {"replicas": 2}}, **place)
        read = custom.get_namespaced_custom_object(name="plain", **place)
        self.assertEqual(read["spec"], {"schedule": "@hourly", "replicas": 2})
        seen = self.until(
            lambda event: event["object"]["metadata"]["name"] == "plain",
            custom.list_namespaced_custom_object,
            *place.values(),
        )
        self.assertEqual(seen["spec"]["replicas"], 2)
        custom.delete_namespaced_custom_object(name="plain", **place)
        self.assert_refused(404, custom.get_namespaced_custom_object, name="plain", **place)
