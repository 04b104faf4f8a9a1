"""The metrics of a saved perturbation on a network and images."""

from torch import nn

from uap.data.samples import Samples
from uap.evaluation.evaluate import evaluate
from uap.metrics.names import METRICS
from uap.objectives import Objective
from uap.utils.progress import shows_bars
from uap.victims import Victim
from uap.victims.setup_warnings import setup_warnings

TARGET_METRICS = ("miou_target_before", "miou_target")
"""Mean IoU with the target, over the classes of the target (Metzen et al., sec. 4, Generalizability)."""

TITLES = {name: metric.description for name, metric in METRICS.items() if metric.unit in ("share", "ratio")}
"""The descriptions of the metrics of predictions by name, in the order of the tables."""


def score(
    victim: Victim, samples: Samples, objective: Objective, attack: nn.Module | None, title: str
) -> dict[str, float]:
    """Return the metrics of a perturbation on 8-bit images, by name.

    Args:
        victim: the network.
        samples: the images, with predictions of the network and labels in its classes.
        objective: the goal, in the classes of the network.
        attack: a perturbation, or another module from images to adversarial images; None for clean images.
        title: title of the progress bar.
    """
    result = evaluate(
        victim,
        samples.loader(),
        attack,
        objective,
        scored=("8-bit",),
        extra=TARGET_METRICS if objective.sign > 0 else (),
        title=title,
        progress=shows_bars(),
    )
    return result.metrics["8-bit"]


def print_setup_warnings(name: str, found: list[dict[str, float]]) -> None:
    """Print a warning if the best clean mean IoU of a network is too low, which suggests a wrong setup.

    Args:
        name: name of the network or run, for the message.
        found: metrics of several evaluations of the network.
    """
    clean = [metrics["miou_clean"] for metrics in found if "miou_clean" in metrics]
    for warning in setup_warnings(None, 0, max(clean, default=None)):
        print(f"warning: {name}: {warning}", flush=True)
