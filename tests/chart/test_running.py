"""The scheduler as the chart configures it, under the chart's own permissions: it places pods."""

import base64
import concurrent.futures
import contextlib
from functools import partial

from as_configured import PodProcess, Scheduler, until
from chart import CHART, CI_VALUES, MINORS, Rendered, ci_values, install, with_image
from helm_engine import Helm
from installation import PODS, deployment, installed, missing, node_of, placed, samples
from stand_in import StandIn

# A third of a node.
LARGE = [{"name": "c", "image": "registry.example.com/app", "resources": {"requests": {"cpu": "10", "memory": "80Gi"}}}]


def runs(values_name, minor):
    values = ci_values(values_name)
    if minor == MINORS[0]:
        values.pop("admissionPolicy", None)
    # Whoever makes no roles brings their own.
    rbac = values.get("rbac", {}).get("create", True)
    with installed(values, minor=minor, rbac=rbac) as (stand_in, _, rendered):
        if "tlsSecretName" in values.get("secureServing", {}):
            certificate(stand_in, values["secureServing"]["tlsSecretName"])
        names = [profile.get("schedulerName", "plimsoll") for profile in rendered.config_file()[0]["profiles"]]
        with Scheduler(stand_in, "ops", deployment(rendered)) as scheduler:
            if rendered.config_file()[1].get("mode") == "Shadow":
                stand_in.pod("watched", "default-scheduler")
                until("an attempt", lambda: samples(scheduler, "scheduler_schedule_attempts_total"))
            else:
                pods = {f"of-{name}": name for name in names}
                for pod, name in pods.items():
                    stand_in.pod(pod, name)
                placed(stand_in, scheduler, pods)
            assert not missing(scheduler), missing(scheduler)
            assert scheduler.stop() == 0


def certificate(stand_in, name):
    """A certificate of the repository's own, as a Secret."""
    read = lambda file: base64.b64encode(open(f"tests/certs/{file}", "rb").read()).decode()
    stand_in.create("secrets", {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                                "metadata": {"name": name, "namespace": "ops"},
                                "data": {"tls.crt": read("cert.pem"), "tls.key": read("key.pem")}})


def test_every_ci_file_runs():
    for name in CI_VALUES:
        for minor in MINORS:
            yield f"{name}, 1.{minor}", partial(runs, name, minor)


def workload(stand_in, replicas, scheduler_name="plimsoll", labels=None):
    """A ReplicaSet; gives the nodes of its pods."""
    labels = {"app": "web"} | (labels or {})
    template = {"metadata": {"labels": labels}, "spec": {"schedulerName": scheduler_name, "containers": [
        {"name": "c", "image": "registry.example.com/app", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}}
    stand_in.create("replicasets", {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    })

    def nodes():
        found = [pod["spec"].get("nodeName") for pod in stand_in.list(PODS)]
        return found if len(found) == replicas and all(found) else None
    return until("the pods of the workload", nodes)


def test_binpack_fills_one_node():
    with installed(with_image(preset="binpack")) as (stand_in, _, rendered):
        with Scheduler(stand_in, "ops", deployment(rendered)):
            assert len(set(workload(stand_in, 12))) == 1


def test_spread_uses_every_node_and_zone_alike():
    with installed(with_image(preset="spread")) as (stand_in, _, rendered):
        with Scheduler(stand_in, "ops", deployment(rendered)):
            nodes = workload(stand_in, 12)
            assert sorted(map(nodes.count, set(nodes))) == [2] * 6, nodes


def test_batch_places_gangs_as_a_whole_and_packed():
    with installed(with_image(preset="batch")) as (stand_in, _, rendered):
        with Scheduler(stand_in, "ops", deployment(rendered)):
            gang = {"plimsoll/gang": "training", "plimsoll/gang-size": "8"}
            assert len(set(workload(stand_in, 8, labels=gang))) == 1


def test_shadow_compares_and_writes_nothing():
    with installed(with_image(preset="shadow")) as (stand_in, _, rendered):
        before = stand_in.objects()
        with Scheduler(stand_in, "ops", deployment(rendered)) as scheduler:
            scheduler.line("SHADOW MODE: nothing is written to the cluster")
            stand_in.pod("theirs", "default-scheduler")
            stand_in.pod("nobodys", "plimsoll")
            until("the decision", lambda: samples(scheduler, "scheduler_schedule_attempts_total"))
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "theirs"}, "target": {"kind": "Node", "name": "node-4"}}
            stand_in.call("POST", f"{PODS}/theirs/binding", binding)
            until("the comparison", lambda: samples(scheduler, "plimsoll_shadow_decisions_total"))
            assert not missing(scheduler), missing(scheduler)
        for name in ("theirs", "nobodys"):
            pod = stand_in.get(f"{PODS}/{name}")
            assert not any(condition.get("reason") == "Unschedulable" for condition in pod["status"].get("conditions", []))
        assert not node_of(stand_in, "nobodys")
        added = {key for key in stand_in.objects() - before if key[0] != "ReplicaSet" and not key[2].startswith("first-plimsoll-")}
        assert added == {("Pod", "default", "theirs"), ("Pod", "default", "nobodys")}, "there is a lease, or something else"
        assert not stand_in.list("/apis/events.k8s.io/v1/events?fieldSelector=reportingController%3Dplimsoll")


def test_two_releases_serve_their_own_names():
    rows = {"of one name in two namespaces": [("one", "ops", "a"), ("one", "dev", "b")],
            "of two names in one namespace": [("one", "ops", "a"), ("two", "ops", "b")]}
    for label, releases in rows.items():

        def row(releases=releases):
            with StandIn(nodes=2, rbac=True) as stand_in, contextlib.ExitStack() as stack:
                running = {}
                for release, namespace, name in releases:
                    stand_in.namespace(namespace)
                    values = with_image(config={"profiles": [{"schedulerName": name}]})
                    rendered = Rendered(Helm(stand_in, namespace).install(release, str(CHART), values))
                    running[name] = stack.enter_context(Scheduler(stand_in, namespace, deployment(rendered)))
                for name, scheduler in running.items():
                    stand_in.pod(f"of-{name}", name)
                    placed(stand_in, scheduler, [f"of-{name}"])
                for name, scheduler in running.items():
                    # Each its own one; counted a moment after the binding.
                    attempts = until("what was counted", lambda: samples(scheduler, "scheduler_schedule_attempts_total"))
                    assert {sample: value for sample, value in attempts.items() if value} == {
                        f'scheduler_schedule_attempts_total{{profile="{name}",result="scheduled"}}': 1}
                assert len(stand_in.list("/apis/coordination.k8s.io/v1/leases")) == 2
                assert not any(missing(scheduler) for scheduler in running.values())

        yield label, row


def test_an_upgrade_changes_what_runs():
    with installed(with_image()) as (stand_in, helm, rendered):
        with Scheduler(stand_in, "ops", deployment(rendered)) as scheduler:
            stand_in.pod("before", "plimsoll", containers=LARGE)
            placed(stand_in, scheduler, ["before"])
        profiles = [{"schedulerName": "plimsoll"}, {"schedulerName": "second"}]
        upgraded = Rendered(helm.upgrade("first", str(CHART), with_image(preset="binpack", config={"profiles": profiles})))
        with Scheduler(stand_in, "ops", deployment(upgraded)) as scheduler:
            stand_in.pod("after", "second", containers=LARGE)
            # Packed with the one that is there.
            assert placed(stand_in, scheduler, ["after"]) == [node_of(stand_in, "before")]


def test_a_change_is_taken_over_without_a_restart():
    with installed(with_image(configRollout="reload")) as (stand_in, helm, rendered):
        with Scheduler(stand_in, "ops", deployment(rendered)) as scheduler:
            template = stand_in.get("/apis/apps/v1/namespaces/ops/deployments/first-plimsoll")["spec"]["template"]
            values = with_image(configRollout="reload", config={"profiles": [{"schedulerName": "renamed"}]})
            upgraded = Rendered(helm.upgrade("first", str(CHART), values))
            assert stand_in.get("/apis/apps/v1/namespaces/ops/deployments/first-plimsoll")["spec"]["template"] == template
            # What a kubelet does within a minute.
            (scheduler.folder("config") / "config.yaml").write_text(upgraded.one("ConfigMap")["data"]["config.yaml"])
            stand_in.pod("late", "renamed")
            placed(stand_in, scheduler, ["late"])


def test_what_the_schema_cannot_know_is_refused_at_the_start():
    rows = {
        "an unknown plugin": ({"profiles": [{"plugins": {"score": {"enabled": [{"name": "Clairvoyance"}]}}}]}, {}, "Clairvoyance"),
        "an unknown field": ({"podMaxBackofSeconds": 5}, {}, "podMaxBackofSeconds"),
        "a number of workers that is none": ({}, {"workers": 0}, "workers: must be between 1 and 64"),
        "what is not built": ({"delayCacheUntilActive": True}, {}, "delayCacheUntilActive"),
    }
    for label, (config, plimsoll, expected) in rows.items():

        def row(config=config, plimsoll=plimsoll, expected=expected):
            with installed(with_image(config=config, plimsollConfig=plimsoll)) as (stand_in, _, rendered):
                with Scheduler(stand_in, "ops", deployment(rendered), ready=False) as scheduler:
                    code, _, log = scheduler.ended()
                    assert code == 2 and expected in log, (code, log)

        yield label, row


def test_secured_metrics_are_for_their_readers():
    with installed(ci_values("secured")) as (stand_in, _, rendered):
        certificate(stand_in, "plimsoll-tls")
        for namespace, name in [("monitoring", "prometheus"), ("monitoring", "curious")]:
            stand_in.create("serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount",
                                                "metadata": {"name": name, "namespace": namespace}})
        with Scheduler(stand_in, "ops", deployment(rendered)) as scheduler:
            codes = {name: scheduler.secure_status("/metrics", stand_in.token("monitoring", name)) for name in ("prometheus", "curious")}
            assert codes == {"prometheus": 200, "curious": 403}
            assert scheduler.secure_status("/metrics", "made-up") == 401
            assert scheduler.secure_status("/metrics") in (401, 403)


def helm_test(stand_in, helm, names):
    """Runs `helm test`, and the pod that it makes as its kubelet would; gives what Helm and the pod's process came to."""
    path = "/api/v1/namespaces/ops/pods/first-plimsoll-test"
    former = stand_in.get(path)

    def made():
        pod = stand_in.get(path)
        return pod if pod and not (former and pod["metadata"]["uid"] == former["metadata"]["uid"]) else None

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        told = pool.submit(helm.test, "first")
        spec = until("the pod of the test", made)["spec"]
        with PodProcess(stand_in, "ops", spec, names=names) as process:
            ended = process.ended()
        stand_in.call("PATCH", f"{path}/status", {"status": {"phase": "Failed" if ended[0] else "Succeeded"}})
        return told.exception(), ended


def test_what_the_test_makes_goes_with_it():
    # Carrying this out is the part of the command `helm test`, which shows logs before; the engine as a library does not do it.
    for doc in install(with_image()).hooks:
        policy = doc["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        assert policy == "before-hook-creation,hook-succeeded", doc["kind"]


def test_helm_test_places_a_pod_and_takes_it_away():
    with installed(with_image(), workloads=False) as (stand_in, helm, rendered):
        with Scheduler(stand_in, "ops", deployment(rendered)) as scheduler:
            before = stand_in.objects()
            names = {"http://first-plimsoll.ops.svc:10251": f"http://127.0.0.1:{scheduler.port}"}
            # A second time, too: what the first has made is in nobody's way.
            for _ in range(2):
                refusal, (code, told, log) = helm_test(stand_in, helm, names)
                assert (refusal, code) == (None, 0), (refusal, log)
                assert " was placed on node-" in told and " by plimsoll after " in told and "/metrics has " in told, told
                hooks = {(doc["kind"], "ops", doc["metadata"]["name"]) for doc in rendered.hooks}
                assert stand_in.objects() - before == hooks, "the pod that was placed is gone, or should be"


def test_helm_test_fails_where_nobody_schedules():
    with installed(with_image(tests={"timeout": "1s"}), workloads=False) as (stand_in, helm, _):
        refusal, (code, _, log) = helm_test(stand_in, helm, {})
        assert code == 1 and "no scheduler that runs serves the name plimsoll" in log, log
        assert "first-plimsoll-test" in str(refusal), refusal
        assert not [pod for pod in stand_in.list("/api/v1/namespaces/ops/pods") if "smoke-test" in pod["metadata"]["name"]]


def lease(stand_in):
    return stand_in.get("/apis/coordination.k8s.io/v1/namespaces/ops/leases/first-plimsoll")


def test_uninstalling_leaves_nothing_of_what_has_run():
    with StandIn(nodes=2, rbac=True, workloads=False) as stand_in:
        stand_in.namespace("ops")
        before = stand_in.objects()
        helm = Helm(stand_in, "ops")
        rendered = Rendered(helm.install("first", str(CHART), with_image()))
        with Scheduler(stand_in, "ops", deployment(rendered)) as scheduler:
            stand_in.pod("a", "plimsoll")
            placed(stand_in, scheduler, ["a"])
            holder = lease(stand_in)["spec"]["holderIdentity"]
            # An upgrade leaves alone who leads.
            helm.upgrade("first", str(CHART), with_image(replicaCount=3))
            assert lease(stand_in)["spec"]["holderIdentity"] == holder
        stand_in.call("DELETE", f"{PODS}/a")
        helm.uninstall("first")
        assert stand_in.objects() == before


def test_a_lease_that_is_there_already_is_left_alone():
    with StandIn(nodes=2, rbac=True, workloads=False) as stand_in:
        stand_in.namespace("ops")
        stand_in.create("leases", {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                                   "metadata": {"name": "first-plimsoll", "namespace": "ops"}, "spec": {"leaseTransitions": 3}})
        before = stand_in.objects()
        helm = Helm(stand_in, "ops")
        rendered = Rendered(helm.install("first", str(CHART), with_image()))
        assert not rendered.of_kind("Lease")
        with Scheduler(stand_in, "ops", deployment(rendered)) as scheduler:
            stand_in.pod("a", "plimsoll")
            placed(stand_in, scheduler, ["a"])
            helm.upgrade("first", str(CHART), with_image(replicaCount=3))
            assert lease(stand_in)["spec"]["leaseTransitions"] == 4
        stand_in.call("DELETE", f"{PODS}/a")
        helm.uninstall("first")
        assert stand_in.objects() == before
