"""The HTML page: its sections in order, with embedded style and script."""

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path

from uap import __version__
from uap.reporting.curves import curves, distributions
from uap.reporting.facts import card
from uap.reporting.markup import Markup, tag
from uap.reporting.pictures import gallery, legend, perturbations, run_title
from uap.reporting.run import Run
from uap.reporting.tables import by_class, by_size, comparison, differences, per_image
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
            "remove it."
        )


def page(runs: list[Run], shown: list[str]) -> str:
    """Return the HTML page on some runs; `shown` are digests that identify them."""
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs side by side"
    made = f"Made by python -m uap.report (uap {__version__}). Photographs are compressed again for this page."
    return document(f"{title}: universal perturbation", _header(runs, title), _sections(runs), made, shown)


def document(title: str, header: Markup, sections: list[Markup], made: str, shown: list[str], style: str = "") -> str:
    """Return an HTML document that needs no other file.

    Args:
        title: the title in the browser's tab.
        header: the element `header`.
        sections: the contents of `main`.
        made: the text of the footer.
        shown: digests of the contents; `check_page` compares them.
        style: CSS rules in addition to those of all pages.
    """
    script = _shipped("script.js")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="shown", content=" ".join(shown)),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(_shipped("style.css") + style)),
    )
    footer, code = tag("footer", made), tag("script", Markup(script))
    body = tag("body", header, tag("main", *sections), footer, code)
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def policy(script: str) -> str:
    """Return a Content-Security-Policy that forbids the browser to load anything, and to run any other script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _shipped(name: str) -> str:
    return files("uap.reporting").joinpath(name).read_text(encoding="utf-8")


def _header(runs: list[Run], title: str) -> Markup:
    several = len(runs) > 1
    cards = [card(run, run_title(run, i) if several else None) for i, run in enumerate(runs)]
    eyebrow = tag("p", "Universal adversarial perturbation", class_="eyebrow")
    return tag("header", eyebrow, tag("h1", title), tag("div", *cards, class_="cards"))


def _sections(runs: list[Run]) -> list[Markup]:
    hint = "Drag over a picture, or move the slider with the mouse or the arrow keys."
    worst = "The bars count the scored images. The line marks the mean of the tenth where the attack succeeds least."
    classes = "A pixel's class is that of the static target, or of the clean prediction if the attack hides classes."
    sizes = "Objects are connected regions of hidden classes: medium from 32 x 32 pixels, large from 96 x 96 pixels."
    differ = differences(runs)
    parts = [
        _section("Pictures", hint if any(run.examples for run in runs) else None, gallery(runs), legend(runs)),
        _section("Curves", "In long runs, each point is the mean of neighboring steps.", curves(runs)),
        _section("Metrics", None, comparison(runs)),
        _section("Success by image", worst, distributions(runs)),
        _section("By class", classes, by_class(runs)),
        _section("By object size", sizes, by_size(runs)),
        _section("Image by image", "Click the title of a column to sort by it.", per_image(runs)),
        _section("Perturbation", None, perturbations(runs)),
        _section(
            "Configuration", "Settings that differ come first." if differ else None, differ, _configurations(runs)
        ),
    ]
    return [part for part in parts if part is not None]


def _section(title: str, note: str | None, *content: Markup | None) -> Markup | None:
    if all(part is None for part in content):
        return None
    return tag("section", tag("h2", title), tag("p", note, class_="note") if note else None, *content)


def _configurations(runs: list[Run]) -> Markup | None:
    texts = {run.name: run.config_text for run in runs if run.config_text}
    folded = [
        tag("details", tag("summary", f"config.yaml of {name}"), tag("pre", text)) for name, text in texts.items()
    ]
    return tag("div", *folded) if folded else None
