"""What can be said of the dashboards without looking at data; test_live asks their queries."""

import re

from chart import ci_values, install, with_image
from dashboards import config_map, dashboards, panels

QUESTIONS = ["Is it healthy?", "Why are pods pending?", "How full is the fleet?", "How fast?"]
# Of the recording rules' results only namespace and job are left; alerts are shown of all releases.
WITHOUT_INSTANCE = {"plimsoll:late_pods:ratio_rate5m", "plimsoll:late_pods:ratio_rate1h", "plimsoll:late_pods:ratio_rate6h", "ALERTS"}


def test_off_by_default():
    names = [doc["metadata"]["name"] for doc in install(with_image()).of_kind("ConfigMap")]
    assert names == ["first-plimsoll"], names


def test_the_sidecar_finds_them():
    metadata = config_map()["metadata"]
    assert metadata["labels"]["grafana_dashboard"] == "1"
    assert metadata["namespace"] == "ops" and "annotations" not in metadata
    values = ci_values("alerts")
    found = [doc for doc in install(values).of_kind("ConfigMap") if doc["metadata"]["name"].endswith("-dashboards")]
    metadata = found[0]["metadata"]
    assert metadata["namespace"] == "monitoring" and metadata["labels"].items() >= {"dashboards": "yes", "grafana_dashboard": "1"}.items()
    assert metadata["annotations"] == {"example.com/note": "kept", "k8s-sidecar-target-directory": "Scheduling"}
    assert config_map(folder="F")["metadata"]["annotations"] == {"grafana_folder": "F"}


def test_the_questions_in_order():
    rows = [panel["title"] for panel in dashboards()["plimsoll-overview.json"]["panels"] if panel["type"] == "row"]
    assert rows == QUESTIONS


def test_each_is_one_that_grafana_takes():
    uids = set()
    for name, dashboard in dashboards().items():
        uids.add(dashboard["uid"])
        assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource", "job", "namespace", "instance"], name
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids)), name
        taken = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            assert place["x"] + place["w"] <= 24 and not cells & taken, f"{name}: {panel['title']} lies on another"
            taken |= cells
        for panel in panels(dashboard):
            assert panel["description"].endswith(".") and panel["targets"], f"{name}: {panel['title']}"
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, f"{name}: {panel['title']}"
    assert len(uids) == len(dashboards()) == 2


def test_every_query_follows_the_variables():
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                where = f"{name}: {panel['title']}: {target['expr']}"
                for metric, selector in re.findall(r"([a-zA-Z_:]\w[\w:]*)\{([^}]*)\}", target["expr"]):
                    if metric == "ALERTS":
                        continue
                    assert 'job=~"$job",namespace=~"$namespace"' in selector, where
                    assert metric in WITHOUT_INSTANCE or 'instance=~"$instance"' in selector, where
                bare = re.findall(r"\b(?:scheduler|plimsoll|rest_client|leader_election|process)_\w+(?![\w{])", target["expr"])
                assert not bare, where
                used = set(re.findall(r"\{\{\s*(\w+)", target["legendFormat"]))
                by = set(re.findall(r"\w+", ",".join(re.findall(r"\bby \(([^)]*)\)", target["expr"]))))
                assert used <= by, f"{where}: its legend has labels that it has not"
