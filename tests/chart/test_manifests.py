"""Every document is one that a strict API server would accept, on every supported minor; installed there, and taken away."""

import copy
import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import jsonschema
import kubernetes_validate
import yaml

from chart import CHART, CI_VALUES, MINORS, NEWEST_MINOR, OLDEST_MINOR, POLICY_MINOR, ci_values, cluster, install, with_image
from helm_engine import Helm, Refused
import monitoring_kinds
import values_table


def validate(values_name, minor):
    values = ci_values(values_name)
    if minor < POLICY_MINOR:
        # test_admission sees that it is refused there.
        values.pop("admissionPolicy", None)
    rendered = install(values, minor=minor)
    for doc in rendered.docs + rendered.hooks:
        if doc["apiVersion"] == monitoring_kinds.GROUP:
            monitoring_kinds.validate(doc)
        else:
            kubernetes_validate.validate(doc, f"1.{minor}", strict=True)


def test_installed_strictly_valid_and_taken_away():
    for name in CI_VALUES:
        for minor in MINORS:
            yield f"{name}, 1.{minor}", partial(validate, name, minor)


def test_validation_is_strict():
    doc = install(ci_values("default")).one("Service")
    doc = doc | {"spec": doc["spec"] | {"prots": []}}
    try:
        kubernetes_validate.validate(doc, f"1.{NEWEST_MINOR}", strict=True)
    except kubernetes_validate.ValidationError:
        return
    raise AssertionError("a misspelt field was accepted")


def test_validation_of_monitors_is_strict():
    for path, value in [(("spec", "endpoint"), []), (("spec", "endpoints", 0, "intervall"), "30s"),
                        (("spec", "endpoints", 0, "interval"), 30), (("spec", "endpoints", 0, "bearerTokenFile"), "/token")]:

        def row(path=path, value=value):
            doc = copy.deepcopy(install(ci_values("monitoring")).one("ServiceMonitor"))
            monitoring_kinds.validate(doc)
            place = doc
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
            try:
                monitoring_kinds.validate(doc)
            except jsonschema.ValidationError:
                return
            raise AssertionError("it was accepted")

        yield path[-1], row


class Older(BaseHTTPRequestHandler):
    """As much of a cluster as it takes to be looked at; one of the minor before the oldest that is supported."""

    ANSWERS = {
        "/version": {"major": "1", "minor": str(OLDEST_MINOR - 1), "gitVersion": f"v1.{OLDEST_MINOR - 1}.9"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
        "/api/v1": {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": []},
    }

    def do_GET(self):
        found = self.ANSWERS.get(self.path.partition("?")[0])
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(found or {}).encode())

    def log_message(self, *_):
        pass


def test_an_older_cluster_is_refused():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Older)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    text = cluster().kubeconfig().replace(cluster().url, f"http://127.0.0.1:{server.server_address[1]}")
    try:
        Helm(SimpleNamespace(kubeconfig=lambda: text), "ops").install("first", str(CHART), ci_values("default"))
    except Refused as refusal:
        assert "requires kubeVersion: >=1.31.0-0" in str(refusal) and "v1.30.9" in str(refusal), refusal
    else:
        raise AssertionError("a cluster older than supported was accepted")
    finally:
        server.shutdown()
        server.server_close()


def test_without_the_operator_nothing_is_installed():
    for monitor, kind in {"serviceMonitor": "ServiceMonitor", "podMonitor": "PodMonitor"}.items():

        def row(monitor=monitor, kind=kind):
            # install() sees that nothing is left.
            try:
                install(with_image(metrics={monitor: {"enabled": True}}), operator=False)
            except Refused as refusal:
                assert f'no matches for kind "{kind}" in version "monitoring.coreos.com/v1"' in str(refusal), refusal
                assert "ensure CRDs are installed first" in str(refusal), refusal
            else:
                raise AssertionError("it was installed")

        yield kind, row


def changed(values, default):
    """The values of a file, as dotted names, that are not the default."""
    for key, value in values.items():
        if value != default.get(key):
            yield key
            if isinstance(value, dict) and isinstance(default.get(key), dict):
                yield from (f"{key}.{name}" for name in changed(value, default[key]))


def test_every_option_is_set_by_some_ci_file():
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    set_somewhere = {name for values in CI_VALUES for name in changed(ci_values(values), defaults)}
    for row in values_table.rows(schema, defaults):
        name = row.split("`")[1]

        def test(name=name):
            assert name in set_somewhere, f"no ci/*-values.yaml sets {name}"

        yield name, test


def test_lint_has_nothing_above_information():
    result = Helm(cluster(), "ops").lint(str(CHART))
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
