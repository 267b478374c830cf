"""The policy that gives pods of labelled namespaces to the scheduler, in the version that the cluster serves."""

from chart import OLDEST_MINOR, POLICY_MINOR, ci_values, install, with_image
from helm_engine import Refused

VERSIONS = {32: "v1alpha1", 33: "v1alpha1", 34: "v1beta1", 35: "v1beta1", 36: "v1", 37: "v1"}
KINDS = ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")


def enabled(**values):
    return with_image(admissionPolicy={"enabled": True} | values)


def test_off_by_default():
    rendered = install(with_image())
    assert not any(rendered.of_kind(kind) for kind in KINDS)


def test_the_newest_version_that_is_served():
    assert min(VERSIONS) == POLICY_MINOR
    for minor, version in VERSIONS.items():

        def row(minor=minor, version=version):
            rendered = install(enabled(), minor=minor)
            for kind in KINDS:
                assert rendered.one(kind)["apiVersion"] == f"admissionregistration.k8s.io/{version}"

        yield f"1.{minor}", row


def test_a_cluster_without_it_is_told():
    try:
        install(enabled(), minor=OLDEST_MINOR)
    except Refused as refusal:
        for part in ("admissionPolicy.enabled", "Kubernetes v1.31.0", "serves no MutatingAdmissionPolicy"):
            assert part in str(refusal), refusal
    else:
        raise AssertionError("it was installed")


def test_shape():
    rendered = install(enabled())
    policy, binding = (rendered.one(kind) for kind in KINDS)
    assert binding["spec"] == {"policyName": policy["metadata"]["name"]}
    spec = policy["spec"]
    assert (spec["failurePolicy"], spec["reinvocationPolicy"]) == ("Ignore", "Never")
    assert spec["matchConstraints"] == {
        "namespaceSelector": {"matchLabels": {"plimsoll/schedule": "true"}},
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    }
    conditions = {condition["name"]: condition["expression"] for condition in spec["matchConditions"]}
    assert conditions == {
        "names-no-scheduler": '!has(object.spec.schedulerName) || object.spec.schedulerName in ["", "default-scheduler"]',
        "has-no-node": '!has(object.spec.nodeName) || object.spec.nodeName == ""',
        "not-beside-the-scheduler": 'request.namespace != "ops"',
    }
    mutation, = spec["mutations"]
    assert mutation == {"patchType": "ApplyConfiguration", "applyConfiguration": {
        "expression": 'Object{spec: Object.spec{schedulerName: "plimsoll"}}',
    }}


def test_which_pods_and_to_whom():
    values = ci_values("admission")["admissionPolicy"]
    spec = install(ci_values("admission")).one("MutatingAdmissionPolicy")["spec"]
    assert '"plimsoll-batch"' in spec["mutations"][0]["applyConfiguration"]["expression"]
    assert spec["matchConstraints"]["objectSelector"] == values["objectSelector"]
    # Merged with the default: a label more is asked for, not another one.
    assert spec["matchConstraints"]["namespaceSelector"]["matchLabels"] == {"plimsoll/schedule": "batch"}
