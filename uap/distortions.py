"""python -m uap.distortions: evaluate an attack after JPEG, resizing, noise, and a shift of the perturbation.

`distortions.json` describes the run and the evaluation setup, and holds

    "rows": [{"distortion": "JPEG, quality 95", "figures": {...}, "control": {...}}, ...]

`figures` are the metrics of `uap.evaluation.perturbation_scores.TITLES` on the adversarial images after the distortion.
`control` are those of the clean images after the same distortion.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uap.cli.arguments import sample_arguments
from uap.cli.entry import run_command
from uap.data import SegmentationData
from uap.evaluation.distortions import gaussian_noise, jpeg, resize_there_and_back, shifted
from uap.evaluation.experiment import config_of, device_trainer
from uap.evaluation.perturbation_scores import Figures, print_doubts
from uap.evaluation.saved_perturbation import read_saved
from uap.evaluation.setup import EvaluationSetup
from uap.evaluation.steps import steps
from uap.metrics.names import RATES
from uap.reporting.numbers import percent
from uap.universal.module import UniversalAttack
from uap.utils.errors import InputError
from uap.utils.progress import be_quiet
from uap.utils.text_tables import check_same, csv_text, digest, json_text, markdown, writable, write

COLUMNS = {
    **{name: metric.title for name, metric in RATES.items()},
    "miou_adversarial": "mean IoU with labels",
}
"""The metrics of the table and their titles in Markdown; a column with the control follows each."""


Distort = Callable[[Tensor, Tensor], Tensor]
"""A function of uint8 images (N, 3, H, W) and the images' indices (N,); it returns uint8 images (N, 3, H, W)."""


@dataclass(frozen=True)
class Distortion:
    """A distortion of images, or of the perturbation before it is added: a row of the table.

    Attributes:
        name: its name in the table.
        distort: distorts images; None leaves them unchanged.
        shift: shift of the perturbation down and to the right, in pixels.
    """

    name: str
    distort: Distort | None = None
    shift: int = 0

    def __call__(self, images: Tensor, index: Tensor) -> Tensor:
        """Return the distorted images."""
        return self.distort(images, index) if self.distort else images


def distortions(seed: int) -> list[Distortion]:
    """Return the rows of the table; the first changes nothing. `seed` is the seed of the noise."""
    return [
        Distortion("none"),
        *(Distortion(f"JPEG, quality {quality}", _jpeg(quality)) for quality in (95, 75, 50)),
        *(Distortion(f"resized to {name} and back", _resized(scale)) for name, scale in (("3/4", 0.75), ("1/2", 0.5))),
        *(Distortion(f"Gaussian noise, std {std}", _noise(std, seed)) for std in (4, 8)),
        *(Distortion(f"perturbation shifted by {pixels}", shift=pixels) for pixels in (1, 2, 4, 8)),
    ]


def _jpeg(quality: int) -> Distort:
    return lambda images, index: jpeg(images, quality)


def _resized(scale: float) -> Distort:
    return lambda images, index: resize_there_and_back(images, scale)


def _noise(std: float, seed: int) -> Distort:
    return lambda images, index: gaussian_noise(images, std, index, seed)


@torch.no_grad()
def score_distorted(attack: UniversalAttack, data: SegmentationData, rows: list[Distortion]) -> list[dict[str, Any]]:
    """Score the 8-bit adversarial images and the clean images after each distortion.

    Returns:
        The `rows` of `distortions.json`.
    """
    scored = [(row, Figures(attack, data), Figures(attack, data)) for row in rows]
    loader = data.loader("scored", shuffle=False)
    for batch in steps(loader, len(loader), "Scoring", "batch"):
        batch = attack.transfer_batch_to_device(batch, attack.device, 0)
        images, index = batch["image"], batch["index"]
        for row, adversarial, control in scored:
            perturbed = shifted(attack.perturbation, row.shift).eight_bit(images)
            adversarial.update(batch, attack.victim.predict(row(perturbed, index)))
            clean = attack.victim.predict(row(images, index)) if row.distort else batch["prediction"]
            control.update(batch, clean)
    return [
        {"distortion": row.name, "figures": adversarial.compute(), "control": control.compute()}
        for row, adversarial, control in scored
    ]


def table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[float | str | None]]]:
    """Return the header and the rows of the table: each metric, as a fraction, and its control in the next column."""
    metrics = [name for name in COLUMNS if any(name in row["figures"] for row in rows)]
    header = ["distortion", *(column for name in metrics for column in (name, f"{name}_control"))]
    values = [
        [row["distortion"], *(row[kind].get(name) for name in metrics for kind in ("figures", "control"))]
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
    attack, data, _ = setup.attack(learned)
    if attack is None:
        raise InputError(f"The target of {given.run} has no class of the run's network. Learn the perturbation again.")
    out = writable(given.out or given.run / "distortions")
    identity = digest(learned.identity(), setup.identity(data.size), given.seed)
    check_same(out / "distortions.json", identity)
    rows = score_distorted(attack, data, distortions(given.seed))
    header, values = table(rows)
    shown = markdown([_title(column) for column in header], [[str(row[0]), *map(percent, row[1:])] for row in values])
    facts = learned.facts | setup.facts()
    intro = markdown(["run", learned.name], [[name, value] for name, value in facts.items()])
    write(out / "distortions.md", f"# Distortions\n\n{intro}\n{shown}")
    write(out / "distortions.csv", csv_text(header, values))
    content = {"run": learned.name, "identity": identity, "seed": given.seed, "facts": facts, "rows": rows}
    write(out / "distortions.json", json_text(content))
    print(f"{shown}\n{out / 'distortions.md'}  distortions.csv  distortions.json", flush=True)
    print_doubts(learned.name, [row["figures"] for row in rows])
    return out


if __name__ == "__main__":
    run_command(main)
