"""Markdown pages as these tests read them: fenced blocks with their marks, headings, links, and code within the text."""

import pathlib
import re

_FENCE = re.compile(r"^( *)```(.*)$")
_MARK = re.compile(r"^ *<!-- *(.*?) *--> *$")
_HEADING = re.compile(r"^(#{1,6}) +(.*?) *#*$")
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")


class Block:
    """A fenced block. `marks` are the comments right above it: a reader does not see them, the tests go by them."""

    def __init__(self, page, line, language, marks):
        self.page, self.line, self.language, self.marks = page, line, language, marks
        self.lines = []

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"

    @property
    def place(self):
        return f"{self.page.path}:{self.line}"

    def mark(self, name):
        """What stands behind the word `name` in a mark; "" for the word alone, None where there is no such mark."""
        for mark in self.marks:
            if mark == name:
                return ""
            if mark.startswith(name + " "):
                return mark[len(name) + 1:]
        return None


class Page:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.blocks, self.anchors, self.links, self.spans = [], set(), [], []
        self._read(self.path.read_text().splitlines())

    def _read(self, lines):
        block, marks, indent = None, [], ""
        for number, line in enumerate(lines, 1):
            fence = _FENCE.match(line)
            if block is not None:
                if fence and not fence[2].strip():
                    block = None
                else:
                    block.lines.append(line.removeprefix(indent))
            elif fence:
                indent = fence[1]
                block = Block(self, number, fence[2].strip(), marks)
                self.blocks.append(block)
                marks = []
            elif mark := _MARK.match(line):
                marks = [*marks, mark[1]]
            elif line.strip():
                marks = []
                self._read_text(number, line)
        if block is not None:
            raise ValueError(f"{block.place}: the block does not end")

    def _read_text(self, number, line):
        if heading := _HEADING.match(line):
            self._anchor(heading[2])
        # Without spans: what looks like a link in code is none.
        self.links += [(number, target) for target in _LINK.findall(_SPAN.sub("", line))]
        self.spans += [(number, text.strip()) for _, text in _SPAN.findall(line)]

    def _anchor(self, heading):
        """The name under which a heading is reached on the usual hosts."""
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        name, count = slug, 0
        while name in self.anchors:
            count += 1
            name = f"{slug}-{count}"
        self.anchors.add(name)
