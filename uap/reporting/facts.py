"""Setup and results of runs: the card at the top of the page, and the rows of the tables that compare runs."""

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from uap.metrics.names import METRICS, images_scored
from uap.reporting.numbers import NOTHING, count, is_number, percent, plain
from uap.reporting.run import RATES, Run

SPLITS = {"train": "training", "val": "validation"}
"""The page's names for sets of images, by their names in files."""

Rows = dict[str, list[str]]


@dataclass(frozen=True)
class Tile:
    """A main metric: its name, its value, and notes below."""

    name: str
    value: str
    notes: list[str]


@dataclass(frozen=True)
class Card:
    """A run at a glance.

    Attributes:
        tiles: the main metrics; empty for an unfinished run.
        steps: the last step that was logged.
        setup: network, data, target and epsilon, as far as they are known.
    """

    tiles: list[Tile]
    steps: str
    setup: dict[str, str]


def card(run: Run) -> Card:
    """Return the card of a run."""
    scores = _scores(run)
    tiles = [_tile(run, name) for name in run.rates if any(name == metric for _, metric in scores)]
    split = next((split for split, name in scores if name == "miou_adversarial"), None)
    if split:
        attacked, clean = (percent(scores.get((split, name))) for name in ("miou_adversarial", "miou_clean"))
        tiles.append(Tile(METRICS["miou_adversarial"].title, attacked, [f"clean images {clean}"]))
    setup = {
        "network": _network(run),
        "data": f"{_data(run)}, {_size(run)}" if NOTHING not in (_data(run), _size(run)) else _data(run),
        "target": target(run),
        "epsilon": f"{_epsilon(run)} of 255 grey levels" if _epsilon(run) != NOTHING else NOTHING,
    }
    steps = max((points[-1][0] for points in run.curves.values()), default=0)
    return Card(tiles, count(steps), {name: text for name, text in setup.items() if text != NOTHING})


def target(run: Run) -> str:
    """Return a description of the prediction that the attack aims for."""
    hide, labels, image = (run.setting(f"model.objective.init_args.{name}") for name in ("hide", "labels", "image"))
    if isinstance(hide, list):
        return f"the scene without {', '.join(map(str, hide))}"
    if labels:
        return f"one scene for all: {PurePath(str(labels)).name}"
    if image:
        return f"one scene for all: the prediction on {PurePath(str(image)).name}"
    return plain(run.metrics.get("target") or _class_name(run, "model.objective"))


def facts(runs: list[Run]) -> Rows:
    """Return the rows of the comparison: for each name, the value of each run. Rows without any value are left out."""
    scores = [_scores(run) for run in runs]
    seen = {key: None for one in scores for key in one}
    splits = sorted(dict.fromkeys(split for split, _ in seen), key="train".__eq__)
    names = [*METRICS, *dict.fromkeys(name for _, name in seen if name not in METRICS)]
    rows = {
        "target": [target(run) for run in runs],
        "network": [_network(run) for run in runs],
        "data": [_data(run) for run in runs],
        "size": [_size(run) for run in runs],
        "perturbation scored": [plain(run.setting("perturbation")) for run in runs],
        "epsilon, grey levels": [_epsilon(run) for run in runs],
        "largest entry, grey levels": [plain(run.metrics.get("largest_entry")) for run in runs],
        "tile": [plain(run.metrics.get("tile")) for run in runs],
    }
    for split in splits:
        for name in names:
            title = f"{title_of(name)}, {SPLITS.get(split, split)}"
            rows[title] = [text_of(name, one.get((split, name))) for one in scores]
    for rate, name in RATES.items():
        rows[f"{name}, worst decile of images"] = [percent(worst_tenth(run, rate)) for run in runs]
    for role, title in {"train": "images learned from", "scored": "images scored"}.items():
        rows[title] = [_images(run, role) for run in runs]
    rows["gradient evaluations"] = [count(run.metrics.get("gradient_evaluations")) for run in runs]
    for key in ("seconds", "images_per_second"):
        rows[key.replace("_", " ")] = [plain(run.metrics.get(key)) for run in runs]
    rows["fingerprint of the network"] = [plain(run.metrics.get("victim_fingerprint")) for run in runs]
    return {name: texts for name, texts in rows.items() if set(texts) != {NOTHING}}


def title_of(name: str) -> str:
    """Return the title of a metric by its name in files."""
    return METRICS[name].title if name in METRICS else name.replace("_", " ")


def text_of(name: str, value: float | None) -> str:
    """Return the value of a metric in its unit."""
    if value is None:
        return NOTHING
    return METRICS[name].text(value) if name in METRICS else percent(value)


def settings_that_differ(runs: list[Run]) -> Rows:
    """Return the settings that differ between runs, by their names on the command line."""
    flat = [dict(_flat(run.config)) for run in runs if run.config]
    if len(flat) < max(2, len(runs)):
        return {}
    names = dict.fromkeys(name for settings in flat for name in settings)
    rows = {name: [settings.get(name, NOTHING) for settings in flat] for name in names}
    return {name: texts for name, texts in rows.items() if len(set(texts)) > 1}


def worst_tenth(run: Run, rate: str) -> Any:
    """Return the mean rate of the tenth of the images where the attack succeeds least; None if it is not known."""
    return run.entry("per_image", dict).get(rate, {}).get("worst_decile")


def _images(run: Run, role: str) -> str:
    some, whole = run.entry("images", dict, object).get(role), run.metrics.get("images_in_split")
    if role == "scored" and is_number(some) and is_number(whole):
        return images_scored(round(some), round(whole))
    return count(some)


def _tile(run: Run, rate: str) -> Tile:
    by_split = {split: share for (split, name), share in _scores(run).items() if name == rate}
    split = next(iter(by_split))
    notes = [f"{SPLITS.get(split, split)} images"]
    if split != "train" and "train" in by_split:
        notes.append(f"training {percent(by_split['train'])}")
    if is_number(worst_tenth(run, rate)):
        notes.append(f"worst decile {percent(worst_tenth(run, rate))}")
    return Tile(RATES[rate], percent(by_split[split]), notes)


def _scores(run: Run) -> dict[tuple[str, str], float]:
    """Return the metrics of metrics.json by split and name; those of the training images come last."""
    found = {tuple(key.split("/", 1)): value for key, value in run.metrics.items() if "/" in key and is_number(value)}
    return {(split, name): found[split, name] for split, name in sorted(found, key=lambda key: key[0] == "train")}


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(inner, f"{name}.{key}" if name else str(key))]
    return [(name.replace(".init_args", ""), value if isinstance(value, str) else json.dumps(value, default=str))]


def _class_name(run: Run, path: str) -> str:
    return str(run.setting(f"{path}.class_path") or "").rsplit(".", 1)[-1]


def _network(run: Run) -> str:
    return plain(run.metrics.get("victim") or _class_name(run, "model.victim.init_args.network"))


def _data(run: Run) -> str:
    return plain(run.metrics.get("data") or _class_name(run, "data"))


def _size(run: Run) -> str:
    return plain(run.metrics.get("size") or run.setting("data.init_args.size"))


def _epsilon(run: Run) -> str:
    return plain(run.metrics["epsilon"] if "epsilon" in run.metrics else run.setting("model.epsilon"))
