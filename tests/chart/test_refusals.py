"""Bad values are refused before anything is installed, and the message names the value."""

from functools import partial

from chart import install, with_image
from helm_engine import Refused

DEFAULT_NAME = {"profiles": [{"schedulerName": "default-scheduler"}]}
DEFAULT_LEASE = {"leaderElection": {"resourceName": "kube-scheduler", "resourceNamespace": "kube-system"}}

SECURE = {"secure": {
    "enabled": True, "authorization": {"credentials": {"name": "token"}}, "tlsConfig": {"insecureSkipVerify": True},
}}

# What is wrong -> (values, what the message must hold).
REFUSED = {
    "no image": ({}, ["image.repository is not set", "--set image.repository=REGISTRY/plimsoll"]),
    "a tag in the repository": ({"image": {"repository": "registry.example.com/plimsoll:v1"}}, ["/image/repository"]),
    "a digest that is none": (with_image(image={"repository": "r", "digest": "sha256:abc"}), ["/image/digest"]),
    "an unknown pull policy": ({"image": {"repository": "r", "pullPolicy": "Sometimes"}}, ["/image/pullPolicy"]),
    "an unknown key": (with_image(replicas=3), ["replicas"]),
    "an unknown nested key": (with_image(serviceAccount={"craete": True}), ["/serviceAccount", "craete"]),
    "an unknown monitor key": (
        with_image(metrics={"serviceMonitor": {"enable": True}}),
        ["/metrics/serviceMonitor", "enable"],
    ),
    "replicas as text": (with_image(replicaCount="2"), ["/replicaCount"]),
    "negative replicas": (with_image(replicaCount=-1), ["/replicaCount"]),
    "a port out of range": (with_image(service={"port": 70000}), ["/service/port"]),
    "an interval that is none": (
        with_image(metrics={"serviceMonitor": {"interval": "often"}}),
        ["/metrics/serviceMonitor/interval"],
    ),
    "a name that is none": (with_image(fullnameOverride="Not_A_Name"), ["/fullnameOverride"]),
    "a label that is not text": (with_image(podLabels={"a": 1}), ["/podLabels/a"]),
    "the file as text": (with_image(config="profiles: []"), ["/config"]),
    "another kind of file": (with_image(config={"kind": "DeschedulerPolicy"}), ["/config/kind"]),
    "a switch as text": (
        with_image(plimsollConfig={"replaceDefaultScheduler": "yes"}),
        ["/plimsollConfig/replaceDefaultScheduler"],
    ),
    "a mode that is none": (with_image(plimsollConfig={"mode": "shadow"}), ["/plimsollConfig/mode"]),
    "nobody to shadow": (
        with_image(plimsollConfig={"mode": "Shadow", "shadow": {"schedulerNames": []}}),
        ["/plimsollConfig/shadow/schedulerNames"],
    ),
    "the cluster's scheduler name": (
        with_image(config=DEFAULT_NAME),
        ["config.profiles", "plimsollConfig.replaceDefaultScheduler=true"],
    ),
    "the cluster's lease": (
        with_image(config=DEFAULT_LEASE),
        ["config.leaderElection", "plimsollConfig.replaceDefaultScheduler=true"],
    ),
    "one name for two profiles": (
        with_image(config={"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]}), ["config.profiles", "a, a"],
    ),
    "an unknown preset": (with_image(preset="binpac"), ["/preset"]),
    "two monitors": (
        with_image(metrics={"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}),
        ["metrics.serviceMonitor.enabled", "metrics.podMonitor.enabled"],
    ),
    "secured metrics without the port": (
        with_image(metrics=SECURE, secureServing={"enabled": False}), ["metrics.secure.enabled", "secureServing.enabled"],
    ),
    "secured metrics without a token": (
        with_image(metrics={"secure": SECURE["secure"] | {"authorization": {}}}), ["metrics.secure.authorization.credentials.name"],
    ),
    "secured metrics by an unknown certificate": (
        with_image(metrics={"secure": SECURE["secure"] | {"tlsConfig": {}}}), ["metrics.secure.tlsConfig", "insecureSkipVerify"],
    ),
    "a file of the collector": (
        with_image(metrics={"secure": SECURE["secure"] | {"tlsConfig": {"caFile": "/ca"}}}), ["/metrics/secure/tlsConfig"],
    ),
    "a policy for a name that nobody serves": (
        with_image(admissionPolicy={"enabled": True, "schedulerName": "other"}), ["admissionPolicy.schedulerName", "other", "plimsoll"],
    ),
    "a policy for all namespaces": (
        with_image(admissionPolicy={"enabled": True, "namespaceSelector": None}), ["admissionPolicy.namespaceSelector"],
    ),
    "a policy in shadow": (with_image(admissionPolicy={"enabled": True}, preset="shadow"), ["admissionPolicy.enabled", "Shadow"]),
    "a test of a name that nobody serves": (with_image(tests={"schedulerName": "other"}), ["tests.schedulerName", "other"]),
    "a time that is none": (with_image(tests={"timeout": "soon"}), ["/tests/timeout"]),
    "a probe of another path": (with_image(livenessProbe={"httpGet": {"path": "/"}}), ["/livenessProbe", "httpGet"]),
    "a volume in the place of ours": (with_image(extraVolumes=[{"name": "config", "emptyDir": {}}]), ["/extraVolumes/0/name"]),
    "a rule without verbs": (with_image(rbac={"extraRules": [{"resources": ["pods"]}]}), ["/rbac/extraRules/0", "verbs"]),
    "an unknown way of rolling out": (with_image(configRollout="sometimes"), ["/configRollout"]),
    "many replicas without an election": (
        with_image(config={"leaderElection": {"leaderElect": False}}), ["replicaCount is 2", "leaderElect"],
    ),
}

ACCEPTED = {
    "replacing by name": with_image(config=DEFAULT_NAME, plimsollConfig={"replaceDefaultScheduler": True}),
    "replacing by lease": with_image(config=DEFAULT_LEASE, plimsollConfig={"replaceDefaultScheduler": True}),
    "shadowing by the cluster's own file": with_image(config=DEFAULT_NAME | DEFAULT_LEASE, plimsollConfig={"mode": "Shadow"}),
    "shadowing without an election": with_image(
        config={"leaderElection": {"leaderElect": False}},
        plimsollConfig={"mode": "Shadow", "shadow": {"schedulerNames": ["volcano"]}},
    ),
    "what an umbrella chart adds": with_image(enabled=True) | {"global": {"cattle": {"systemProjectId": "p"}}},
    "secured metrics": with_image(metrics=SECURE),
    "what a preset sets": with_image(preset="shadow", config=DEFAULT_NAME | DEFAULT_LEASE),
    "no election and one replica": with_image(replicaCount=1, config={"leaderElection": {"leaderElect": False}}),
    "no replica": with_image(replicaCount=0),
    "a registry with a port": {"image": {"repository": "localhost:5000/team/plimsoll"}},
    "nothing in the way of an open map": with_image(config={"leaderElection": None, "profiles": None}, affinity=None),
}


def refused(values, expected):
    try:
        install(values)
    except Refused as refusal:
        for part in expected:
            assert part in str(refusal), f"{part!r} is not in: {refusal}"
    else:
        raise AssertionError("it was accepted")


def test_refused():
    for label, (values, expected) in REFUSED.items():
        yield label, partial(refused, values, expected)


def test_accepted():
    for label, values in ACCEPTED.items():
        yield label, partial(install, values)
