"""Blocks of commands taken apart, and what can be said of a command without running it."""

import functools
import pathlib
import re
import shlex
import subprocess

from stand_in import binary
from values import check_values, helm_options
from wrong import Wrong

_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")
_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")
# An assignment of what a command prints.
_KEPT = re.compile(r"\w+=\$\((.*)\)", re.DOTALL)
# Programs that the documentation may use without their being looked at any closer.
KNOWN = {"buildah", "cargo", "cat", "curl", "docker", "echo", "export", "git", "grep", "head", "kill", "kind", "mkdir", "podman",
         "promtool", "rm", "sed", "skopeo", "sort", "zcat", "jq", "sleep", "cd", "test", "amtool", "openssl", "watch", "base64",
         "tail", "uniq", "xargs"}
# A comment that begins so ends what was started last.
STOP = "# Ctrl-C"
# Of `helm`, what does not read the chart's values.
_HELM_VALUES = {"install", "upgrade", "template", "lint"}


def split(text):
    """The commands of a block: a line each, with what `\\` and here-documents carry on. Comments are left out, but for STOP."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(STOP):
            yield STOP
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        command = line
        while command.endswith("\\"):
            command += "\n" + next(lines)
        if end := _HEREDOC.search(command):
            for more in lines:
                command += "\n" + more
                if more.strip() == end[1]:
                    break
            else:
                raise Wrong(f"the here-document of {line!r} does not end")
            command += "\n"
        yield command


def parts(command):
    """The words of each command of a pipeline or list, without assignments before it and redirections."""
    head = command.split("<<")[0].replace("\\\n", " ").strip()
    if kept := _KEPT.fullmatch(head):
        head = kept[1]
    try:
        lexer = shlex.shlex(head, posix=True, punctuation_chars="|&;<>()")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words = list(lexer)
    except ValueError as error:
        raise Wrong(f"{head!r} is no command: {error}") from error
    part, skip = [], False
    for word in [*words, ";"]:
        if set(word) <= set("|&;"):
            if part:
                yield part
            part = []
        elif set(word) <= set("<>&"):
            skip = True
        elif skip:
            skip = False
        elif part or not _ASSIGNMENT.match(word):
            part.append(word)


def check(command):
    """Whether the programs, subcommands, flags, targets and values of a command exist. Raises Wrong."""
    if command == STOP:
        return
    for words in parts(command):
        name, arguments = words[0], words[1:]
        if name == "plimsoll":
            _plimsoll(arguments)
        elif name == "make":
            _make(arguments)
        elif name == "helm":
            _helm(arguments)
        elif name == "kubectl":
            if not [word for word in arguments if not word.startswith("-")]:
                raise Wrong("kubectl without a verb")
        elif name not in KNOWN and not name.startswith(("./", "tests/", "target/")):
            raise Wrong(f"{name} is no program that tests/docs/commands.py knows")


@functools.cache
def _help(*words):
    """What `plimsoll WORDS --help` says; None where there are no such words."""
    done = subprocess.run([binary(), *words, "--help"], capture_output=True, text=True, timeout=300)
    return done.stdout if done.returncode == 0 else None


def _plimsoll(arguments):
    words = []
    for word in arguments:
        if word.startswith("-") or "Commands:" not in _help(*words) or _help(*words, word) is None:
            break
        words.append(word)
    text = _help(*words)
    rest = arguments[len(words):]
    if not words and rest and not rest[0].startswith("-"):
        raise Wrong(f"plimsoll has no command {rest[0]}")
    flags = set(re.findall(r"(?<![\w-])(--[a-z][a-z0-9-]*|-[A-Za-z])(?![\w-])", text))
    flags |= {"--" + alias for alias in re.findall(r"\[alias(?:es)?: -*([a-z-]+)\]", text)}
    for word in rest:
        flag = word.split("=")[0]
        if re.match(r"^--[a-z]", flag) and flag not in flags:
            raise Wrong(f"plimsoll {' '.join(words)} has no flag {flag}")
        if re.match(r"^-[A-Za-z]", flag) and flag[:2] not in flags:
            raise Wrong(f"plimsoll {' '.join(words)} has no flag {flag[:2]}")


@functools.cache
def targets():
    return set(re.findall(r"^([a-z0-9-]+):", pathlib.Path("Makefile").read_text(), re.MULTILINE))


def _make(arguments):
    for word in arguments:
        if not _ASSIGNMENT.match(word) and not word.startswith("-") and word not in targets():
            raise Wrong(f"the Makefile has no target {word}")


def _helm(arguments):
    words, values, _ = helm_options(arguments)
    if not words:
        raise Wrong("helm without a command")
    if words[0] in _HELM_VALUES:
        check_values(values)
        if words[-1].startswith("charts/") and not pathlib.Path(words[-1]).is_dir():
            raise Wrong(f"there is no chart {words[-1]}")
