"""Pages, block by block: commands run, data is accepted, links lead somewhere.

Marks, in a comment above a block, are what a reader does not see:

    needs a cluster     what the stand-in cannot do of it is looked at, and not run
    takes minutes       looked at, and not run
    tested by FILE::FN  another test runs it
    file NAME           the commands of the page find it under this name
    output              the command before prints these lines; `...` stands for anything
    values              values of the chart
    from FILE           these lines are in the file as they are
"""

import functools
import pathlib
import tempfile

import commands
import links
from cluster import Cluster
from data import Data, check_json
from helm import Helm
from pages import Page
from session import NotRun, Session
from wrong import Wrong

LANGUAGES = {"sh", "yaml", "json", "rust", "toml", "text", "promql", "dockerfile"}
MARKS = ("needs a cluster", "takes minutes", "tested by ", "file ", "output", "values", "from ")
# In the text: what begins like this is a command, and has to be one that there is.
SPANS = ("plimsoll ", "make ")


def paths():
    found = sorted(pathlib.Path().glob("*.md"))
    for folder in ("docs", "charts", "examples", "tests"):
        found += sorted(path for path in pathlib.Path(folder).rglob("*.md") if "target" not in path.parts)
    return found


def test_pages():
    pages = {path: Page(path) for path in paths()}
    with tempfile.TemporaryDirectory() as scratch:
        checks = Checks(scratch)
        try:
            for path, page in list(pages.items()):
                yield from checks.page(page, pages)
        finally:
            checks.end()


class Checks:
    def __init__(self, scratch):
        self.scratch, self.helm, self.not_run = scratch, Helm(), {}
        self.manifests = None
        self.data = Data(self._server)

    def _server(self):
        """The server that takes the manifests of all pages. It has no nodes."""
        if not self.manifests:
            self.manifests = Cluster(manifests=["tests/docs/kinds.yaml"])
        return self.manifests

    def end(self):
        if self.manifests:
            self.manifests.close()
        for why, number in sorted(self.not_run.items()):
            print(f"{'left out' if why.isupper() else 'not run here'}: {why}: {number} commands were looked at, and not run")

    def page(self, page, pages):
        """Names and functions, to be called in this order: commands build on those before them."""
        yield f"{page.path} links", functools.partial(_links, page, pages)
        yield f"{page.path} commands in the text", functools.partial(_spans, page)
        session = Session(page, self.scratch, self.helm)
        try:
            # The last command that was run, for the output that is shown of it.
            ran = []
            for block in page.blocks:
                yield block.place, functools.partial(self._block, block, session, ran)
        finally:
            session.end()

    def _block(self, block, session, ran):
        if block.language not in LANGUAGES:
            raise Wrong(f"the block has the language {block.language!r}, not one of {', '.join(sorted(LANGUAGES))}")
        for mark in block.marks:
            if not mark.startswith(MARKS):
                raise Wrong(f"the mark {mark!r} means nothing to these tests")
        if (name := block.mark("file")) is not None:
            (session.folder / name).write_text(block.text)
        if (path := block.mark("from")) is not None and block.text not in pathlib.Path(path).read_text():
            raise Wrong(f"{path} does not have these lines as they are")
        if (test := block.mark("tested by")) is not None:
            _there_is(test)
        if block.language == "yaml" and test is None:
            self.data.check(block)
        elif block.language == "json":
            check_json(block)
        elif block.language == "text" and block.mark("output") is not None:
            if ran:
                session.shows(block.text, ran[-1])
            elif not session.lacks:
                raise Wrong("no command that was run stands before this output")
        elif block.language == "sh":
            ran.clear()
            self._commands(block, session, ran)

    def _commands(self, block, session, ran):
        partly = block.mark("needs a cluster") is not None
        looked_at = any(block.mark(mark) is not None for mark in ("takes minutes", "tested by"))
        session.lacks = False
        for command in commands.split(block.text):
            # What comes behind a command that could not be run may be about what it would have made.
            if looked_at or session.lacks:
                commands.check(command)
                continue
            try:
                session.run(command, partly)
                ran.append(command)
            except NotRun as why:
                self.not_run[str(why)] = self.not_run.get(str(why), 0) + 1


def _links(page, pages):
    found = [f"{page.path}:{line}: {message}" for line, message in links.wrong(page, pages)]
    if found:
        raise Wrong("\n".join(found))


@functools.cache
def _sources():
    return "".join(path.read_text() for folder in ("crates", "src") for path in pathlib.Path(folder).rglob("*.rs"))


def _spans(page):
    """Code within the text: commands exist, and the scheduler's messages are its own."""
    for line, text in page.spans:
        if text.startswith("node(s) ") and text not in _sources():
            raise Wrong(f"{page.path}:{line}: no plugin says {text!r}")
        if text.startswith(SPANS):
            try:
                commands.check(text)
            except Wrong as error:
                raise Wrong(f"{page.path}:{line}: {error}") from error


def _there_is(test):
    """A test that a mark names as FILE::FUNCTION, or FILE alone."""
    path, _, name = test.partition("::")
    if not pathlib.Path(path).exists():
        raise Wrong(f"there is no {path}")
    if name and not any(f"{word} {name}(" in pathlib.Path(path).read_text() for word in ("fn", "def")):
        raise Wrong(f"{path} has no test {name}")
