"""What holds of all rules, and what values do to them."""

import re

from chart import ci_values, install, with_image
from helm_engine import Refused
from rules import NAME, alerts, groups, promtool, rendered, rules


def test_promtool_accepts_them():
    code, said = promtool("check", "rules", "--lint-fatal", "rules.yaml", documents={"rules.yaml": {"groups": groups()}})
    assert code == 0, said


def test_off_by_default():
    assert not install(with_image()).of_kind("PrometheusRule")


def test_every_alert_says_what_it_is():
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), name
        assert rule["labels"]["release"] == NAME, name
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, name
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{name}.md"), name
        assert NAME in rule["annotations"]["description"], name
        assert re.fullmatch(r"Plimsoll[A-Z]\w+", name), name


def test_the_mixins_rules_are_there_for_this_job():
    found = {(rule["record"], rule["labels"]["quantile"]) for rule in rules() if rule.get("record", "").startswith("cluster_quantile:")}
    metrics = ["scheduling_attempt_duration", "scheduling_algorithm_duration", "pod_scheduling_sli_duration"]
    assert found == {(f"cluster_quantile:scheduler_{metric}_seconds:histogram_quantile", quantile)
                     for metric in metrics for quantile in ("0.99", "0.9", "0.5")}


def test_every_series_is_this_releases():
    ours = 'job="plimsoll",namespace="ops",pod=~"first-plimsoll-[^-]+-[^-]+"'
    for rule in rules():
        assert "@" not in str(rule), rule
        selectors = re.findall(r"\w[\w:]*\{([^}]*)\}", rule["expr"])
        assert selectors and all(one.startswith(ours) or one == f'release="{NAME}"' for one in selectors), rule["expr"]
        # Outside of braces there is no metric without a selector.
        bare = re.findall(r"\b(?:scheduler|plimsoll|rest_client|leader_election|process)_\w+(?![\w{])", rule["expr"])
        assert not bare, (bare, rule["expr"])
    assert 'job="kube-scheduler"' not in str(groups())


def test_two_releases_are_told_apart():
    other = rendered(release="second", namespace="ops")
    assert {rule["labels"]["release"] for rule in rules(other)} == {"ops/second-plimsoll"}
    assert not {rule["expr"] for rule in rules(other)} & {rule["expr"] for rule in rules()}


def test_a_selector_of_ones_own():
    own = 'job="elsewhere",cluster="a"'
    for rule in rules(rendered(selector=own)):
        assert own in rule["expr"] or rule["expr"].count("{") == rule["expr"].count('{release="'), rule["expr"]


def test_values_are_taken():
    values = ci_values("alerts")
    rendered = install(values)
    doc = rendered.one("PrometheusRule")
    assert doc["metadata"]["namespace"] == "monitoring"
    assert doc["metadata"]["labels"]["release"] == "prometheus"
    found = doc["spec"]["groups"]
    assert found[-1] == {"name": "plimsoll.extra", "rules": values["prometheusRule"]["extraRules"]}
    ours = alerts(found[:-1])
    assert "PlimsollEventsDropped" not in ours
    assert all(rule["labels"]["team"] == "platform" for rule in ours.values())
    assert doc["metadata"]["annotations"] == {"example.com/note": "kept"}
    assert 'up{job="plimsoll",namespace="ops",cluster="blue"}' in ours["PlimsollDown"]["expr"]
    assert "> 3600" in ours["PlimsollPodPendingTooLong"]["expr"]
    assert ours["PlimsollDown"]["annotations"]["runbook_url"] == "https://runbooks.example.com/plimsoll/PlimsollDown.md"
    assert any('le="1.28"' in rule["expr"] for rule in rules(found[:-1]))
    code, said = promtool("check", "rules", "rules.yaml", documents={"rules.yaml": {"groups": found}})
    assert code == 0, said


def test_every_threshold_is_used():
    defaults = rendered()
    for name, value in {"restarts": 77, "pausedFor": "77m", "pendingSeconds": 77, "unschedulablePods": 77, "activePods": 77, "errorRatio": 0.77,
                        "bindingFailureRatio": 0.77, "gangsFor": "77m", "kubeletRefusals": 77, "latencySeconds": 81.92, "latencyObjective": 0.77,
                        "latencyMinimumPods": 77, "missedWakeups": 77, "fleetRequestedRatio": 0.77, "watchRestarts": 77,
                        "cacheDifferenceRatio": 0.77, "apiErrorRatio": 0.77, "throttledPerSecond": 77, "eventsDroppedPerSecond": 77,
                        "extenderErrorRatio": 0.77}.items():
        changed = rendered(thresholds={name: value})
        assert changed != defaults and str(value) in str(changed), name


def test_refused():
    for values, expected in [({"disabled": ["PlimsollDwon"]}, "PlimsollDwon"), ({"thresholds": {"pendingMinutes": 5}}, "pendingMinutes"),
                             ({"thresholds": {"latencySeconds": 5}}, "latencySeconds"), ({"thresholds": {"errorRatio": 5}}, "errorRatio")]:
        try:
            rendered(**values)
        except Refused as refusal:
            assert expected in str(refusal), refusal
        else:
            raise AssertionError(f"{values} was accepted")
