"""The chart's rules as rendered, and promtool."""

import functools
import os
import pathlib
import subprocess
import tempfile

import yaml

from chart import install, with_image

RELEASE, NAMESPACE = "first", "ops"
# The release's namespace and name, as the rules call it.
NAME = "ops/first-plimsoll"


def rendered(release=RELEASE, namespace=NAMESPACE, **values):
    """The groups of a PrometheusRule made with these values of `prometheusRule`."""
    rule = install(with_image(prometheusRule={"enabled": True} | values), release=release, namespace=namespace)
    return rule.one("PrometheusRule")["spec"]["groups"]


@functools.lru_cache
def groups():
    return rendered()


def rules(of=None):
    return [rule for group in of or groups() for rule in group["rules"]]


def alerts(of=None):
    """Alert rules by name."""
    found = [rule for rule in rules(of) if "alert" in rule]
    named = {rule["alert"]: rule for rule in found}
    assert len(named) == len(found), "two alerts have one name"
    return named


def promtool(*arguments, documents=None, text=None):
    """Runs promtool in a folder that holds these documents as files; gives its exit code and what it said."""
    with tempfile.TemporaryDirectory(prefix="plimsoll-promtool-") as folder:
        for name, document in (documents or {}).items():
            (pathlib.Path(folder) / name).write_text(yaml.safe_dump(document, sort_keys=False))
        done = subprocess.run([os.environ["PROMTOOL"], *arguments], cwd=folder, input=text, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr
