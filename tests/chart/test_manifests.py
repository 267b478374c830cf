"""Every document is one that a strict API server would accept, on every supported minor."""

import json
from functools import partial

import jsonschema
import kubernetes_validate
import yaml

from chart import CHART, CI_VALUES, NEWEST_MINOR, OLDEST_MINOR, ci_values, install
from fake_api import FakeApi
from helm_engine import Helm, Refused
import values_table


def validate(values_name, minor):
    for doc in install(ci_values(values_name), minor=minor).docs:
        # The schemas hold Kubernetes' own kinds only; test_monitoring and tests/monitoring look at these.
        if doc["kind"] in ("ServiceMonitor", "PrometheusRule"):
            continue
        kubernetes_validate.validate(doc, f"1.{minor}", strict=True)


def test_strictly_valid():
    for name in CI_VALUES:
        for minor in (OLDEST_MINOR, NEWEST_MINOR):
            yield f"{name}, 1.{minor}", partial(validate, name, minor)


def test_validation_is_strict():
    doc = install(ci_values("default")).one("Service")
    doc = doc | {"spec": doc["spec"] | {"prots": []}}
    try:
        kubernetes_validate.validate(doc, f"1.{NEWEST_MINOR}", strict=True)
    except kubernetes_validate.ValidationError:
        return
    raise AssertionError("a misspelt field was accepted")


def test_an_older_cluster_is_refused():
    try:
        install(ci_values("default"), minor=OLDEST_MINOR - 1)
    except Refused as refusal:
        assert "kubeVersion" in str(refusal), refusal
    else:
        raise AssertionError("a cluster older than supported was accepted")


def test_lint_has_nothing_above_information():
    api = FakeApi(NEWEST_MINOR)
    result = Helm(api, "ops").lint(str(CHART))
    api.close()
    # 1 is information, 2 a warning, 3 an error.
    loud = [message for message in result["Messages"] or [] if message["Severity"] > 1]
    assert not loud, loud


def test_schema_is_a_schema_and_describes_every_value():
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)

    def described(node, path):
        assert node.get("description"), f"{path} has no description"
        for name, child in node.get("properties", {}).items():
            described(child, f"{path}.{name}")

    described(schema, "values")


def test_every_default_is_in_the_schema_and_the_other_way_round():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.validate(values, schema)
    # These two are only accepted.
    assert set(schema["properties"]) - {"global", "enabled"} == set(values)


def test_readme_table_is_up_to_date():
    _, current, _ = values_table.split()
    assert current == values_table.table(), "run tests/chart/run.sh --write-readme"
