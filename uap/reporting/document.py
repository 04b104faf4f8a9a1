"""The documents of all pages: Jinja templates, filled in with plain values, and embedded style and script."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from uap.utils.errors import InputError


def check_page(path: Path, shown: list[str]) -> None:
    """Check that a new page may be written: there is no file yet, or the new page shows everything that the file shows.

    Args:
        path: the path of the page.
        shown: digests of the contents of the new page.

    Raises:
        InputError: the file is not a page of ours, or shows something that the new page does not.
    """
    if not path.is_file():
        return
    found = re.search(r'<meta name="shown" content="([0-9a-f ]+)">', path.read_text(encoding="utf-8", errors="replace"))
    if found is None or not set(found[1].split()) <= set(shown):
        raise InputError(
            f"{path} is there already and shows other runs or settings, which would be lost. Set another --out, or "
            "remove it.",
            setting="out",
            kind="conflict",
        )


def document(template: str, title: str, made: str, shown: list[str], **values: Any) -> str:
    """Return an HTML document that needs no other file.

    Args:
        template: the file in `templates/`, which extends `document.html`.
        title: the title of the page.
        made: the text of the footer.
        shown: digests of the contents; `check_page` compares them.
        values: the template's own values. All text is escaped.
    """
    script = _shipped("script.js")
    frame = {"style": _shipped("style.css"), "script": script, "policy": policy(script)}
    return render(template, title=title, made=made, shown=shown, **frame, **values)


def render(template: str, **values: Any) -> str:
    """Return the text of a template; a value that it needs and does not get is an error."""
    return _environment().get_template(template).render(values)


def policy(script: str) -> str:
    """Return a Content-Security-Policy that forbids the browser to load anything, and to run any other script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


@cache
def _environment() -> Environment:
    loader = PackageLoader("uap.reporting")
    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _shipped(name: str) -> str:
    return files("uap.reporting").joinpath(name).read_text(encoding="utf-8")
