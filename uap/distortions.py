"""python -m uap.distortions: evaluate an attack after JPEG, resizing, noise, and a shift of the perturbation.

`distortions.json` describes the run and the evaluation setup, and contains

    "rows": [{"distortion": "JPEG, quality 95", "metrics": {...}, "control": {...}}, ...]

`metrics` are those of `uap.metrics.names.METRICS` on the adversarial images after the distortion.
`control` are those of the clean images after the same distortion.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from uap.cli.arguments import sample_arguments
from uap.cli.entry import run_command
from uap.defenses import GaussianNoise, Jpeg, Resize
from uap.evaluation.distortions import EightBit, shifted
from uap.evaluation.experiment import config_of, device_trainer
from uap.evaluation.perturbation_scores import print_setup_warnings
from uap.evaluation.saved_perturbation import SavedPerturbation, read_saved
from uap.evaluation.setup import EvaluationSetup
from uap.evaluation.steps import steps
from uap.metrics.names import RATES
from uap.reporting.numbers import percent
from uap.universal.perturbation import Perturbation
from uap.utils.errors import InputError
from uap.utils.progress import be_quiet
from uap.utils.text_tables import check_same, csv_text, digest, json_text, markdown, writable, write

COLUMNS = {
    **{name: metric.title for name, metric in RATES.items()},
    "miou_adversarial": "mean IoU with labels",
}
"""The metrics of the table and their titles in Markdown; a column with the control follows each."""


@dataclass(frozen=True)
class Distortion:
    """A distortion of images, or of the perturbation before it is added: a row of the table.

    Attributes:
        name: its name in the table.
        make: makes the module from images to distorted images; None leaves them unchanged.
        shift: shift of the perturbation down and to the right, in pixels.
    """

    name: str
    make: Callable[[], nn.Module] | None = None
    shift: int = 0

    def attack(self, perturbation: Perturbation) -> nn.Module:
        """Return the module from clean images to distorted adversarial images."""
        perturbed = EightBit(shifted(perturbation, self.shift))
        return nn.Sequential(perturbed, self.make()) if self.make else perturbed

    def control(self, perturbation: Perturbation) -> nn.Module | None:
        """Return the module from clean images to distorted clean images; None if they stay unchanged."""
        return self.make() if self.make else None


def distortions(seed: int) -> list[Distortion]:
    """Return the rows of the table; the first changes nothing. `seed` is the seed of the noise."""
    return [
        Distortion("none"),
        *(Distortion(f"JPEG, quality {quality}", partial(Jpeg, quality)) for quality in (95, 75, 50)),
        *(Distortion(f"resized to {name} and back", partial(Resize, s)) for name, s in (("3/4", 0.75), ("1/2", 0.5))),
        *(Distortion(f"Gaussian noise, std {std}", partial(GaussianNoise, std, seed)) for std in (4, 8)),
        *(Distortion(f"perturbation shifted by {pixels}", shift=pixels) for pixels in (1, 2, 4, 8)),
    ]


def score_distorted(setup: EvaluationSetup, learned: SavedPerturbation, rows: list[Distortion]) -> list[dict[str, Any]]:
    """Score the 8-bit adversarial images and the clean images after each distortion.

    Returns:
        The `rows` of `distortions.json`.
    """
    scored = []
    clean, _ = setup.score(learned, "Clean images", lambda perturbation: None)
    for row in steps(rows, len(rows), "Scoring", "distortion"):
        adversarial, _ = setup.score(learned, row.name, row.attack)
        control = setup.score(learned, f"{row.name}, clean images", row.control)[0] if row.make else clean
        scored.append({"distortion": row.name, "metrics": adversarial, "control": control})
    return scored


def table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[float | str | None]]]:
    """Return the header and the rows of the table: each metric, as a fraction, and its control in the next column."""
    metrics = [name for name in COLUMNS if any(name in row["metrics"] for row in rows)]
    header = ["distortion", *(column for name in metrics for column in (name, f"{name}_control"))]
    values = [
        [row["distortion"], *(row[kind].get(name) for name in metrics for kind in ("metrics", "control"))]
        for row in rows
    ]
    return header, values


def _title(column: str) -> str:
    metric = column.removesuffix("_control")
    return COLUMNS.get(metric, metric) + (", unperturbed" if column != metric else "")


def parse(args: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        "python -m uap.distortions",
        allow_abbrev=False,
        description="Evaluates the 8-bit adversarial images of a run after JPEG compression, resizing and Gaussian "
        "noise, and with a shifted perturbation. The control of each metric are the clean images after the same "
        "distortion. Writes distortions.md, distortions.csv and distortions.json.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of python -m uap.fit")
    parser.add_argument("--out", type=Path, help="the folder to write to (default: RUN/distortions)")
    sample_arguments(parser)
    return parser.parse_args(args)


def main(args: list[str] | None = None) -> Path:
    """Evaluate the perturbation of a run after every distortion; return the folder of the table."""
    given = parse(args)
    if given.quiet:
        be_quiet()
    learned = read_saved(given.run, given.run.name)
    setup = EvaluationSetup(learned.name, config_of(given.run), given.images, device_trainer())
    size = learned.size or setup.size
    if learned.target_for(setup.victim, size)[0] is None:
        raise InputError(
            f"The target of {given.run} has no class of the run's network. Learn the perturbation again.",
            kind="conflict",
        )
    out = writable(given.out or given.run / "distortions")
    identity = digest(learned.identity(), setup.identity(size), given.seed)
    check_same(out / "distortions.json", identity)
    rows = score_distorted(setup, learned, distortions(given.seed))
    header, values = table(rows)
    shown = markdown([_title(column) for column in header], [[str(row[0]), *map(percent, row[1:])] for row in values])
    facts = learned.facts | setup.facts()
    intro = markdown(["run", learned.name], [[name, value] for name, value in facts.items()])
    write(out / "distortions.md", f"# Distortions\n\n{intro}\n{shown}")
    write(out / "distortions.csv", csv_text(header, values))
    content = {"run": learned.name, "identity": identity, "seed": given.seed, "facts": facts, "rows": rows}
    write(out / "distortions.json", json_text(content))
    print(f"{shown}\n{out / 'distortions.md'}  distortions.csv  distortions.json", flush=True)
    print_setup_warnings(learned.name, [row["metrics"] for row in rows])
    return out


if __name__ == "__main__":
    run_command(main)
