"""What is wrong in a page is found: each row is a page with one fault, and what is said of it."""

import functools
import pathlib
import tempfile

from pages import Page
from test_documentation import Checks
from wrong import Wrong

FENCE = "```"


def block(language, text, mark=None):
    return (f"<!-- {mark} -->\n" if mark else "") + f"{FENCE}{language}\n{text}\n{FENCE}\n"


HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c, image: i}]\n"
FAULTS = {
    "no language": (block("", "make help"), "language"),
    "a mark that is none": (block("sh", "echo a", "needs cluster"), "means nothing"),
    "no such command": (block("sh", "plimsoll schedule"), "no command schedule"),
    "no such flag": (block("sh", "plimsoll check-config --strict scheduler.yaml"), "no flag --strict"),
    "no such target": (block("sh", "make everything", "takes minutes"), "no target everything"),
    "no such value": (block("sh", "helm upgrade x charts/plimsoll --set image.repo=x", "needs a cluster"), "no value image.repo"),
    "a value of the wrong type": (
        block("sh", "helm install plimsoll charts/plimsoll -n a --create-namespace --set image.repository=x --set replicaCount=two"),
        "replicaCount"),
    "no such program": (block("sh", "frobnicate", "needs a cluster"), "no program"),
    "no such placeholder": (block("sh", "kubectl get pod SOMETHING"), "SOMETHING is no placeholder"),
    "a command that fails": (block("sh", "plimsoll simulate -f nothing.yaml"), "exit code 2"),
    "a pipe that breaks": (block("sh", "plimsoll simulate -f nothing.yaml | cat"), "exit code 2"),
    "what cannot be run, not marked": (block("sh", "kind create cluster"), "mark the block"),
    "another output": (block("sh", "echo a") + block("text", "b", "output"), "does not print"),
    "output of nothing": (block("text", "b", "output"), "no command"),
    "a test that is not there": (block("sh", "make demo", "tested by tests/program/main.rs::nothing"), "has no test nothing"),
    "lines that are elsewhere": (block("rust", "fn nothing() {}", "from src/main.rs"), "does not have these lines"),
    "no YAML": (block("yaml", "a: ["), "no YAML"),
    "a key twice": (block("yaml", "a: 1\na: 2"), "twice"),
    "no JSON": (block("json", "{a: 1}"), "no JSON"),
    "an unknown field of the configuration": (block("yaml", HEAD + "profile: []"), "profile"),
    "in a part of it": (block("yaml", "profiles:\n  - schedulerName: a\n    plugin: {}"), "plugin"),
    "in values": (block("yaml", "plimsollConfig: {paused: maybe}", "values"), "paused"),
    "an unknown value": (block("yaml", "replicas: 1", "values"), "no value replicas"),
    "a kind that there is not": (block("yaml", "apiVersion: v1\nkind: Pot\nmetadata: {name: p}"), "no kind Pot"),
    "a field that there is not": (block("yaml", POD + "  schedulername: plimsoll"), "schedulername"),
    "a link to nowhere": ("[a](nowhere.md)", "leads nowhere"),
    "a heading that is not there": ("# A\n\n[a](#b)", "no heading"),
    "a command in the text": ("Say `plimsoll run --fast`.", "no flag --fast"),
    "a message that nobody says": ("It says `node(s) were tired`.", "no plugin says"),
}


def test_faults_are_found():
    with tempfile.TemporaryDirectory() as scratch:
        checks = Checks(scratch)
        try:
            for number, (name, (text, said)) in enumerate(FAULTS.items()):
                path = pathlib.Path(scratch) / f"page-{number}.md"
                path.write_text(text)
                yield name, functools.partial(_found, checks, Page(path), said)
        finally:
            if checks.manifests:
                checks.manifests.close()


def _found(checks, page, said):
    messages = []
    for _, check in checks.page(page, {page.path: page}):
        try:
            check()
        except Wrong as error:
            messages.append(str(error))
    if not any(said in message for message in messages):
        raise Wrong(f"expected {said!r}, found {messages}")
