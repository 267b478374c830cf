"""Every alert has its page, every page its alert, and what they refer to is there."""

import pathlib
import re

from rules import alerts

PAGES = pathlib.Path("docs/runbooks")
SECTIONS = ["What it means", "What users notice", "How to look", "What to do", "When it is a false alarm"]
LINK = re.compile(r"\[[^\]]*\]\(([^)]+)\)")


def pages():
    return {path.stem: path.read_text() for path in sorted(PAGES.glob("*.md")) if path.stem != "README"}


def anchors(path):
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_alerts_and_pages_match_one_to_one():
    assert set(pages()) == set(alerts())


def test_every_page_answers_the_same_questions():
    for name, text in pages().items():
        assert text.startswith(f"# {name}\n"), name
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS, name
        for section, body in zip(SECTIONS, re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]):
            assert body.strip(), f"{name}: {section} says nothing"
        assert "```" in text, f"{name} names no command"


def test_the_index_tells_what_the_rules_say():
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \| (.*) \|$", (PAGES / "README.md").read_text(), re.MULTILINE)
    expected = {(name, name, rule["labels"]["severity"], rule["annotations"]["summary"]) for name, rule in alerts().items()}
    assert set(rows) == expected and len(rows) == len(expected)


def test_links_lead_somewhere():
    for path in PAGES.glob("*.md"):
        for link in LINK.findall(path.read_text()):
            target, _, anchor = link.partition("#")
            where = (path.parent / target).resolve() if target else path
            assert where.exists(), f"{path}: {link}"
            assert not anchor or anchor in anchors(where), f"{path}: {link}"
