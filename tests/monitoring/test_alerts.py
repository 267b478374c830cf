"""Every alert fires when it should, and only then; promtool decides."""

import re
from functools import partial

from alert_cases import CASES
from rules import NAME, alerts, groups, promtool

LABEL = re.compile(r"\$labels\.(\w+)")


def unit(alert, row):
    """The test of one row, as promtool reads it. The alert is looked at as Prometheus records it."""
    about, series, minute, expected = row
    rule = alerts()[alert]
    always = {"alertname": alert, "alertstate": "firing"} | {key: str(value) for key, value in rule["labels"].items()}

    def sample(labels):
        inside = ",".join(f'{key}="{value}"' for key, value in sorted((always | labels).items()))
        return {"labels": f"ALERTS{{{inside}}}", "value": 1}

    return {
        "interval": "1m",
        "name": f"{alert}: {about}",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{
            "expr": f'ALERTS{{alertname="{alert}",alertstate="firing"}}',
            "eval_time": f"{minute}m",
            "exp_samples": [sample(labels) for labels in expected],
        }],
    }


def check(alert):
    units = [unit(alert, row) for row in CASES[alert]]
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": units}
    code, said = promtool("test", "rules", "tests.yaml", documents={"rules.yaml": {"groups": groups()}, "tests.yaml": tests})
    assert code == 0, said


def test_fires_and_does_not():
    for alert in CASES:
        yield alert, partial(check, alert)


def test_every_alert_has_both_and_names_labels_that_it_has():
    assert set(CASES) == set(alerts())
    for name, rows in CASES.items():
        firing = [expected for *_, expected in rows if expected]
        assert firing and len(firing) < len(rows), f"{name} needs a row in which it fires, and one in which it does not"
        used = set(LABEL.findall(" ".join(alerts()[name]["annotations"].values())))
        for labels in (labels for expected in firing for labels in expected):
            assert used <= set(labels), f"{name} tells of labels that it has not: {used - set(labels)}"


def test_the_tests_can_fail():
    about, series, minute, _ = CASES["PlimsollPaused"][0]
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [unit("PlimsollPaused", (about, series, minute, []))]}
    code, said = promtool("test", "rules", "tests.yaml", documents={"rules.yaml": {"groups": groups()}, "tests.yaml": tests})
    assert code != 0 and "PlimsollPaused" in said and NAME in said, said
