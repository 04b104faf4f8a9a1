"""Hooks of the documentation site, which `mkdocs.yml` names.

README.md is the home page. Links to files of the repository that are no pages become plain text. Examples of docstrings
are shown as code.
"""

import re
from pathlib import Path
from typing import Any

from griffe import Extension, Object
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LINK = re.compile(r"(?<!!)\[([^\]\[]*)\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")
"""A link within the repository: its text and its path. Pictures and links with a scheme do not match."""


def on_files(files: Any, config: Any) -> Any:
    """Add the README as the home page, with its links to docs/ made relative to that folder."""
    text = _without_other_files((ROOT / "README.md").read_text(), ROOT)
    content = re.sub(r"(?<=[(\"'])docs/", "", text)
    files.append(File.generated(config, "index.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Keep only the text of links that lead out of docs/, and drop the word `notest` from the head of code blocks."""
    markdown = re.sub(r"^([ \t]*```python)[ \t]+notest[ \t]*$", r"\1", markdown, flags=re.MULTILINE)
    return _without_other_files(markdown, (DOCS / page.file.src_uri).parent)


def _without_other_files(markdown: str, folder: Path) -> str:
    """Return the text with links to existing files outside of docs/ replaced by their text."""

    def text_or_link(link: re.Match[str]) -> str:
        path = (folder / link[2]).resolve()
        return link[1] if path.exists() and not path.is_relative_to(DOCS) else link[0]

    return LINK.sub(text_or_link, markdown)


class Examples(Extension):
    """Renames the section `Example:` to `Examples:`, the only name that griffe shows as code."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rename the section of one docstring."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^([ \t]*)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)
