"""The configuration file that the scheduler reads."""

import subprocess

from chart import CI_VALUES, ci_values, install, with_image
from stand_in import binary, environment

PLAIN = {"apiVersion": "config.plimsoll/v1alpha1", "kind": "PlimsollConfiguration"}


def checksum(values):
    return install(values).pod()["metadata"]["annotations"]["checksum/config"]


def test_default_file():
    scheduler, plimsoll = install(with_image(), release="blue").config_file()
    assert scheduler == {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": True, "resourceName": "blue-plimsoll", "resourceNamespace": "ops"},
        "profiles": [{"schedulerName": "plimsoll"}],
    }
    assert plimsoll == PLAIN


def test_values_are_merged_key_by_key_and_numbers_stay_whole():
    config = {"podMaxBackoffSeconds": 1_000_000, "leaderElection": {"leaseDuration": "30s"}}
    values = with_image(config=config, plimsollConfig={"seed": 12_345_678, "tieBreak": "name"})
    scheduler, plimsoll = install(values, release="blue").config_file()
    assert scheduler["podMaxBackoffSeconds"] == 1_000_000
    assert scheduler["profiles"] == [{"schedulerName": "plimsoll"}]
    assert scheduler["leaderElection"] == {
        "leaderElect": True, "leaseDuration": "30s", "resourceName": "blue-plimsoll", "resourceNamespace": "ops",
    }
    assert plimsoll == PLAIN | {"seed": 12_345_678, "tieBreak": "name"}
    assert "e+" not in install(values, release="blue").one("ConfigMap")["data"]["config.yaml"]


def test_the_file_of_another_scheduler_can_be_given_as_it_is():
    config = {"apiVersion": "kubescheduler.config.k8s.io/v1beta3", "kind": "KubeSchedulerConfiguration",
              "profiles": [{"schedulerName": "mine"}]}
    scheduler, _ = install(with_image(config=config)).config_file()
    assert scheduler["apiVersion"] == "kubescheduler.config.k8s.io/v1beta3"
    assert scheduler["profiles"] == config["profiles"]


def test_the_scheduler_is_told_where_the_file_is():
    rendered = install(with_image(extraArgs=["-v=4"]))
    container = rendered.container()
    assert container["args"] == ["run", "--config", "/etc/plimsoll/config.yaml", "-v=4"]
    assert container["volumeMounts"] == [{"name": "config", "mountPath": "/etc/plimsoll", "readOnly": True}]
    name = rendered.one("ConfigMap")["metadata"]["name"]
    assert rendered.pod()["spec"]["volumes"] == [{"name": "config", "configMap": {"name": name}}]


def test_a_changed_file_restarts_the_pods_and_nothing_else_does():
    base = checksum(with_image())
    assert base == checksum(with_image(commonLabels={"a": "b"}, replicaCount=3))
    assert base != checksum(with_image(config={"podMaxBackoffSeconds": 5}))
    assert base != checksum(with_image(plimsollConfig={"workers": 2}))
    mine = {"checksum/config": "mine"}
    assert base == checksum(with_image(podAnnotations=mine))


def test_with_reload_a_changed_file_leaves_the_pods_alone():
    def pod(**values):
        return install(with_image(configRollout="reload", **values)).pod()

    base = pod()
    assert "annotations" not in base["metadata"]
    assert base == pod(config={"podMaxBackoffSeconds": 5})
    assert pod(podAnnotations={"a": "b"})["metadata"]["annotations"] == {"a": "b"}


def test_notes_in_shadow_promise_no_scheduling():
    notes = install(with_image(preset="shadow")).notes
    for text in ("schedulerName:", "kubectl run hello", "helm test"):
        assert text not in notes, notes


def test_notes_name_every_profile():
    profiles = [{"schedulerName": "plimsoll"}, {"schedulerName": "packed"}]
    notes = install(with_image(config={"profiles": profiles})).notes
    for profile in profiles:
        assert f"schedulerName: {profile['schedulerName']}\n" in notes, notes
    assert "rollout status deployment/first-plimsoll" in notes


def test_notes_name_the_default_profile():
    for label, profiles in {"none": [], "one without a name": [{}]}.items():

        def row(profiles=profiles):
            assert "schedulerName: plimsoll\n" in install(with_image(config={"profiles": profiles})).notes

        yield label, row


def test_notes_warn():
    rows = {
        "one replica": ({"replicaCount": 1}, "one replica"),
        "monitor without a label": ({"metrics": {"serviceMonitor": {"enabled": True}}}, "additionalLabels.release"),
        "reserved priority class": ({}, "resourceQuota.enabled=true"),
        "monitor of pods without a label": ({"metrics": {"podMonitor": {"enabled": True}}}, "metrics.podMonitor.additionalLabels.release"),
        "shadowing": ({"plimsollConfig": {"mode": "Shadow"}}, "mode is Shadow"),
        "shadowing by preset": ({"preset": "shadow"}, "\n  default-scheduler\n"),
        "pausing": ({"plimsollConfig": {"paused": True}}, "paused is set"),
        "nobody to go": ({"rbac": {"preemption": False}}, "rbac.preemption is off"),
        "the preset": ({"preset": "binpack"}, "with the preset binpack."),
        "a test": ({}, "helm test first --namespace ops"),
        "what a token needs": ({"metrics": ci_values("secured")["metrics"]}, "first-plimsoll:ops:metrics-reader"),
        "namespaces to label": ({"admissionPolicy": {"enabled": True}}, "kubectl label namespace NAMESPACE plimsoll/schedule=true"),
        "replacing": ({"plimsollConfig": {"replaceDefaultScheduler": True}}, "replaceDefaultScheduler is set"),
    }
    for label, (values, expected) in rows.items():

        def row(values=values, expected=expected):
            assert expected in install(with_image(**values)).notes

        yield label, row


def fit(profile):
    """The scoring strategy of a profile."""
    arguments = {plugin["name"]: plugin["args"] for plugin in profile.get("pluginConfig", [])}
    return arguments.get("NodeResourcesFit", {}).get("scoringStrategy", {}).get("type")


def test_presets():
    rows = {"": (None, {}), "binpack": ("MostAllocated", {"tieBreak": "name"}), "spread": ("LeastAllocated", {}),
            "batch": ("MostAllocated", {"tieBreak": "name", "eventPolicy": "Aggregated", "preemption": {"podDisruptionBudgets": "Strict"}}),
            "shadow": (None, {"mode": "Shadow"})}
    for preset, (strategy, plimsoll) in rows.items():

        def row(preset=preset, strategy=strategy, plimsoll=plimsoll):
            scheduler, own = install(with_image(preset=preset)).config_file()
            profile, = scheduler["profiles"]
            assert (profile["schedulerName"], fit(profile), own) == ("plimsoll", strategy, PLAIN | plimsoll)

        yield preset or "none", row


def test_what_the_user_says_wins_over_the_preset():
    values = with_image(preset="batch", config={"podMaxBackoffSeconds": 30}, plimsollConfig={
        "tieBreak": "random", "preemption": {"otherSchedulers": True}, "eventPolicy": "All",
    })
    scheduler, own = install(values).config_file()
    assert scheduler["podMaxBackoffSeconds"] == 30
    assert own == PLAIN | {"tieBreak": "random", "eventPolicy": "All", "preemption": {"otherSchedulers": True, "podDisruptionBudgets": "Strict"}}


def test_profiles_have_of_the_preset_what_they_do_not_say():
    scheduler, _ = install(ci_values("binpack")).config_file()
    packed, apart, plain = scheduler["profiles"]
    assert fit(packed) == "MostAllocated" and packed["plugins"]["score"]["disabled"]
    assert fit(apart) == "LeastAllocated" and apart["plugins"] == packed["plugins"]
    assert plain == {"schedulerName": "plain", "plugins": {}, "pluginConfig": []}


def test_the_program_accepts_every_file():
    for name in CI_VALUES:

        def row(name=name):
            maps = [doc["data"] for doc in install(ci_values(name)).of_kind("ConfigMap")]
            text, = [data["config.yaml"] for data in maps if "config.yaml" in data]
            done = subprocess.run([binary(), "check-config", "-"], input=text, text=True, capture_output=True, env=environment(), timeout=60)
            assert done.returncode == 0 and "not supported" not in done.stdout, done.stdout + done.stderr

        yield name, row


def test_in_shadow_one_replica_runs_and_nothing_guards_it():
    rendered = install(with_image(preset="shadow", replicaCount=3))
    assert rendered.one("Deployment")["spec"]["replicas"] == 1
    assert not rendered.of_kind("PodDisruptionBudget") and not rendered.hooks
    assert install(with_image(preset="shadow", replicaCount=0)).one("Deployment")["spec"]["replicas"] == 0
