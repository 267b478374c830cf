"""The helm commands of the documentation, by the chart tests' Helm engine, against the page's stand-in."""

import copy
import pathlib

from helm_engine import Helm as Engine
from helm_engine import Refused
from values import helm_options, merge
from wrong import Wrong


class Helm:
    """Knows what the engine can do; everything else is only looked at."""

    def can(self, arguments):
        words, *_ = helm_options(arguments)
        return bool(words) and words[0] in ("install", "upgrade", "uninstall") and "--dry-run" not in arguments

    def run(self, session, arguments):
        (verb, release, *chart), values, namespace = helm_options(arguments)
        namespace = namespace or "default"
        if "--create-namespace" in arguments:
            session.cluster.namespace(namespace)
        elif not session.cluster.get(f"/api/v1/namespaces/{namespace}"):
            raise Wrong(f"there is no namespace {namespace}, and --create-namespace is not given")
        engine, before = session.releases.get((namespace, release), (None, {}))
        try:
            if verb == "uninstall":
                self._there(engine, release, namespace).uninstall(release)
                del session.releases[namespace, release]
                return
            if verb == "upgrade" and not engine and "--install" not in arguments:
                self._there(engine, release, namespace)
            given = copy.deepcopy(before) if any(flag in arguments for flag in ("--reuse-values", "--reset-then-reuse-values")) else {}
            merge(given, values)
            path = str(pathlib.Path(chart[0]).resolve())
            if engine:
                engine.upgrade(release, path, given)
            else:
                engine = Engine(session.cluster, namespace)
                engine.install(release, path, given)
            session.releases[namespace, release] = engine, given
        except Refused as error:
            raise Wrong(f"helm {verb} {release}: {error}") from error

    @staticmethod
    def _there(engine, release, namespace):
        if not engine:
            raise Wrong(f"there is no release {release} in the namespace {namespace}: {release} is not installed on this page")
        return engine

