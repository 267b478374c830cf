"""Links between pages lead somewhere. Addresses outside of the repository are not asked."""

import os
import pathlib

from pages import Page


def wrong(page, pages):
    """What is wrong with the links of a page, as (line, message)."""
    for line, target in page.links:
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        path = pathlib.Path(os.path.normpath(page.path.parent / name)) if name else page.path
        if path.parts and path.parts[0] == "..":
            yield line, f"the link {target} leads out of the repository"
        elif not path.exists():
            yield line, f"the link {target} leads nowhere"
        elif anchor and path.suffix == ".md":
            if path not in pages:
                pages[path] = Page(path)
            if anchor not in pages[path].anchors:
                yield line, f"the link {target}: {path} has no heading of that name"
