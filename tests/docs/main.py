"""Checks the documentation: commands run, data is accepted, links lead somewhere. tests/docs/run.sh calls it.

Arguments choose pages by a part of their path.
"""

import pathlib
import sys
import tempfile

import commands
import examples
import links
from cluster import Cluster
from commands import Wrong
from data import Data, check_json
from helm import helm
from pages import Page
from session import NotRun, Session

LANGUAGES = {"sh", "yaml", "json", "rust", "toml", "text", "promql", "dockerfile"}
# Marks, in a comment above a block: what a reader does not see.
#   needs a cluster     what the stand-in cannot do of it is looked at, and not run
#   takes minutes       looked at, and not run
#   tested by FILE::FN  another test runs it
#   file NAME           the commands of the page find it under this name
#   output              the command before prints these lines; `...` stands for anything
#   values              values of the chart
#   from FILE           these lines are in the file as they are
MARKS = ("needs a cluster", "takes minutes", "tested by ", "file ", "output", "values", "from ")
# In the text: what begins like this is a command, and has to be one that there is.
SPANS = ("plimsoll ", "make ")


def paths():
    roots = [pathlib.Path(name) for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md")]
    found = [path for path in roots if path.exists()]
    for folder in ("docs", "charts", "examples", "tests"):
        found += sorted(path for path in pathlib.Path(folder).rglob("*.md") if "target" not in path.parts)
    return found


class Report:
    def __init__(self):
        self.passed, self.failed, self.not_run = 0, 0, {}

    def check(self, place, function, *arguments):
        try:
            function(*arguments)
            self.passed += 1
        except Wrong as error:
            self.wrong(place, error)

    def wrong(self, place, error):
        self.failed += 1
        print(f"FAILED {place}: {error}", flush=True)


class Checks:
    def __init__(self, scratch):
        self.scratch, self.report = scratch, Report()
        self.helm = helm()
        self.manifests = None
        self.data = Data(self._server)

    def _server(self):
        """The server that takes the manifests of all pages. It has no nodes."""
        if not self.manifests:
            self.manifests = Cluster(manifests=["tests/docs/kinds.yaml"])
        return self.manifests

    def page(self, page, pages):
        for line, message in links.wrong(page, pages):
            self.report.wrong(f"{page.path}:{line}", message)
        for line, text in page.spans:
            if text.startswith(SPANS):
                self.report.check(f"{page.path}:{line}", commands.check, text)
        session = Session(page, self.scratch, self.helm)
        try:
            last = None
            for block in page.blocks:
                last = self._block(block, session, last)
        finally:
            session.end()

    def _block(self, block, session, last):
        """Checks a block; gives the last command that was run."""
        ran = []
        self.report.check(block.place, self._check, block, session, last, ran)
        return ran[-1] if ran else (last if block.language != "sh" else None)

    def _check(self, block, session, last, ran):
        unknown = [mark for mark in block.marks if not mark.startswith(MARKS)]
        if block.language not in LANGUAGES:
            raise Wrong(f"the block has the language {block.language!r}, not one of {', '.join(sorted(LANGUAGES))}")
        if unknown:
            raise Wrong(f"the mark {unknown[0]!r} means nothing to these tests")
        if (name := block.mark("file")) is not None:
            (session.folder / name).write_text(block.text)
        if (path := block.mark("from")) is not None:
            if block.text not in pathlib.Path(path).read_text():
                raise Wrong(f"{path} does not have these lines as they are")
        if (test := block.mark("tested by")) is not None:
            _there_is(test)
        if block.language == "yaml" and test is None:
            self.data.check(block)
        elif block.language == "json":
            check_json(block)
        elif block.language == "text" and block.mark("output") is not None:
            if not last:
                raise Wrong("no command that was run stands before this output")
            session.shows(block.text, last)
        elif block.language == "sh":
            self._commands(block, session, ran)

    def _commands(self, block, session, ran):
        partly = block.mark("needs a cluster") is not None
        for command in commands.split(block.text):
            if any(block.mark(mark) is not None for mark in ("takes minutes", "tested by")):
                commands.check(command)
                continue
            try:
                session.run(command, partly)
                ran.append(command)
            except NotRun as why:
                self.report.not_run[str(why)] = self.report.not_run.get(str(why), 0) + 1


def _there_is(test):
    """A test that a mark names as FILE::FUNCTION, or FILE alone."""
    path, _, name = test.partition("::")
    if not pathlib.Path(path).exists():
        raise Wrong(f"there is no {path}")
    if name and f"fn {name}(" not in pathlib.Path(path).read_text() and f"def {name}(" not in pathlib.Path(path).read_text():
        raise Wrong(f"{path} has no test {name}")


def main():
    wanted = sys.argv[1:]
    pages = {path: Page(path) for path in paths()}
    with tempfile.TemporaryDirectory() as scratch:
        checks = Checks(scratch)
        try:
            for path, page in list(pages.items()):
                if not wanted or any(part in str(path) for part in wanted):
                    checks.page(page, pages)
            for name, check in examples.checks():
                if not wanted or any(part in name for part in wanted):
                    checks.report.check(name, check)
        finally:
            if checks.manifests:
                checks.manifests.close()
        report = checks.report
    if not checks.helm:
        print("left out: THE HELM ENGINE IS NOT HERE: helm commands were looked at, and not run")
    for why, number in sorted(report.not_run.items()):
        print(f"checked, and not run: {number} commands: {why}")
    if report.passed + report.failed == 0:
        print("no page has such a name")
        report.failed = 1
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
