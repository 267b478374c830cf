"""The configuration file that the scheduler reads."""

from chart import install, with_image

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
        "shadowing": ({"plimsollConfig": {"mode": "Shadow"}}, "mode is Shadow"),
        "replacing": ({"plimsollConfig": {"replaceDefaultScheduler": True}}, "replaceDefaultScheduler is set"),
    }
    for label, (values, expected) in rows.items():

        def row(values=values, expected=expected):
            assert expected in install(with_image(**values)).notes

        yield label, row
