"""Watches, as controllers written in Python use them: list, watch from there, and begin anew where the history is gone."""

import threading

from kubernetes import client, watch

from common import NAMESPACE, PATIENCE, ClusterTest, config_map

SELECTOR = "set=watched"


class Watches(ClusterTest):
    def changes(self, count, **options):
        """The next changes of what is watched, as texts."""
        watching = watch.Watch()
        seen = []
        for event in watching.stream(
            self.core.list_namespaced_config_map, NAMESPACE, label_selector=SELECTOR, timeout_seconds=PATIENCE, **options
        ):
            seen.append(f"{event['type']} {event['object'].metadata.name}")
            if len(seen) == count:
                watching.stop()
        return seen

    def make(self, name):
        return self.core.create_namespaced_config_map(NAMESPACE, config_map(name, {"set": "watched"}))

    def test_tell_what_changes_after_a_list(self):
        listed = self.core.list_namespaced_config_map(NAMESPACE, label_selector=SELECTOR)
        self.make("w")
        self.core.patch_namespaced_config_map("w", NAMESPACE, {"data": {"a": "1"}})
        self.core.delete_namespaced_config_map("w", NAMESPACE)
        # All of this has happened before the watch begins.
        self.assertEqual(
            self.changes(3, resource_version=listed.metadata.resource_version),
            ["ADDED w", "MODIFIED w", "DELETED w"],
        )

    def test_begin_with_what_is_there_and_go_on(self):
        self.make("first")
        later = threading.Thread(target=self.make, args=("second",))
        watching = watch.Watch()
        seen = []
        for event in watching.stream(self.core.list_namespaced_config_map, NAMESPACE, label_selector=SELECTOR):
            seen.append(event["object"].metadata.name)
            if seen == ["first"]:
                later.start()
            if seen == ["first", "second"]:
                watching.stop()
        later.join()
        self.core.delete_collection_namespaced_config_map(NAMESPACE, label_selector=SELECTOR)

    def test_end_when_they_are_to(self):
        events = watch.Watch().stream(
            self.core.list_namespaced_config_map, NAMESPACE, label_selector="set=none", timeout_seconds=1
        )
        self.assertEqual(list(events), [])

    def test_from_before_the_history_are_refused_with_410(self):
        watching = watch.Watch()
        with self.assertRaises(client.ApiException) as caught:
            for _ in watching.stream(
                self.core.list_namespaced_config_map, NAMESPACE, resource_version="1", timeout_seconds=PATIENCE
            ):
                self.fail("an event of a history that is gone")
        self.assertEqual(caught.exception.status, 410, caught.exception)

    def test_carry_an_informer_over_a_lost_history(self):
        """What a controller does: list, watch from there, and list again where the watch cannot go on."""
        self.make("kept")
        known, version, lists = {}, "1", 0  # A version of long ago: the first watch is refused.
        while "new" not in known:
            try:
                watching = watch.Watch()
                for event in watching.stream(
                    self.core.list_namespaced_config_map,
                    NAMESPACE,
                    label_selector=SELECTOR,
                    resource_version=version,
                    timeout_seconds=PATIENCE,
                ):
                    known[event["object"].metadata.name] = event["object"]
                    if "new" in known:
                        watching.stop()
            except client.ApiException as refusal:
                self.assertEqual(refusal.status, 410, refusal)
                listed = self.core.list_namespaced_config_map(NAMESPACE, label_selector=SELECTOR)
                known = {item.metadata.name: item for item in listed.items}
                version, lists = listed.metadata.resource_version, lists + 1
                self.make("new")
        self.assertEqual((sorted(known), lists), (["kept", "new"], 1))

    def test_of_the_whole_cluster_name_the_namespace(self):
        self.make("everywhere")
        seen = self.until(
            lambda event: event["object"].metadata.name == "everywhere",
            self.core.list_config_map_for_all_namespaces,
            label_selector=SELECTOR,
        )
        self.assertEqual(seen.metadata.namespace, NAMESPACE)

    def test_of_other_kinds_are_read_into_the_clients_types(self):
        for list_function in (self.core.list_namespace, self.core.list_node, self.core.list_service_for_all_namespaces):
            found = self.until(lambda event: event["type"] == "ADDED", list_function)
            self.assertIsNotNone(found.metadata.uid)
