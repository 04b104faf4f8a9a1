"""The table of metrics: name, unit, direction, definition and source of each.

All tables, plots and files use these names. To add a metric, add a row here and its computation in `uap/metrics/`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["share", "ratio", "grey levels", "dB", "nats", "number"]
"""The unit of a metric. `share` is from 0 to 1 and printed in per cent; `ratio` too, but it can exceed 1."""


@dataclass(frozen=True)
class MetricName:
    """The description of a metric.

    Attributes:
        name: its name in files and in code.
        title: its name in tables and plots.
        unit: unit of its values.
        higher_is_better: whether a higher value is better for the attacker; None for metrics of clean images.
        definition: its definition in one line.
        source: the paper that defines it, or "".
        of_clean_images: whether its value does not depend on the attack.

    Example:
        >>> METRICS["psnr"].title, METRICS["psnr"].unit, METRICS["psnr"].higher_is_better
        ('PSNR', 'dB', True)
    """

    name: str
    title: str
    unit: Unit
    higher_is_better: bool | None
    definition: str
    source: str = ""
    of_clean_images: bool = False

    @property
    def is_share(self) -> bool:
        """Whether a value cannot exceed 1."""
        return self.unit == "share"

    @property
    def description(self) -> str:
        """The title and the definition."""
        capitalized = self.title[:2].islower()  # not mIoU
        return f"{self.title[:1].upper() if capitalized else self.title[:1]}{self.title[1:]}: {self.definition}"

    def text(self, value: float) -> str:
        """Return a value as text for tables.

        Example:
            >>> METRICS["kept"].text(0.0423), METRICS["perceptibility"].text(0.001712)
            ('4.2 %', '1.71e-03')
        """
        if self.unit in ("share", "ratio"):
            return f"{100 * value:.1f} %"
        return f"{value:.2e}" if self.unit == "number" else f"{value:.3f}" if self.unit == "nats" else f"{value:.2f}"


METZEN = "Metzen et al., ICCV 2017, sec. 4, arXiv 1704.05712"
ARNAB = "Arnab et al., CVPR 2018, sec. 4, arXiv 1711.09856"
CERTAINTY = "Arnab et al., CVPR 2018, sec. 7.1, arXiv 1711.09856"
XIAO = "Xiao et al., ECCV 2018, sec. 5.2, arXiv 1810.05162"
TRANSFER = "Xiao et al., ECCV 2018, sec. 5.5, arXiv 1810.05162"
XIE = "Xie et al., ICCV 2017, arXiv 1703.08603"

KANG_CHANGE = "Kang et al., IEEE Access 2020, sec. V"
KANG = "Kang et al., IEEE Access 2020, sec. V, with the clean prediction in place of labels"

_ROWS = (
    MetricName("success_rate", "success rate", "share", True, "pixels predicted as the target", METZEN),
    MetricName(
        "success_before", "success before", "share", None, "pixels of the clean images predicted as the target",
        of_clean_images=True,
    ),
    MetricName("hidden", "hidden", "share", True, "pixels of the hidden classes that got another class", METZEN),
    MetricName("preserved", "preserved", "share", True, "background pixels that kept their class", METZEN),
    MetricName(
        "remaining", "remaining", "ratio", False,
        "pixels predicted as the hidden classes, after the attack over before it",
    ),
    MetricName("swapped", "swapped", "share", True, "pixels of the source classes predicted as the destination", KANG),
    MetricName(
        "source_kept", "source kept", "share", False, "pixels of the source classes that kept their class", KANG
    ),
    MetricName("source_ratio", "source ratio", "ratio", False, "source kept over preserved", KANG),
    MetricName("kept", "kept", "share", False, "pixels that kept the class of the clean prediction"),
    MetricName(
        "miou_clean_prediction", "mIoU with clean prediction", "share", False,
        "mean IoU of the predictions with those on the clean images",
    ),
    MetricName(
        "miou_target_before", "mIoU target, clean", "share", None, "mean IoU with the target, clean images",
        of_clean_images=True,
    ),
    MetricName("miou_target", "mIoU target", "share", True, "mean IoU with the target, adversarial images", METZEN),
    MetricName(
        "miou_clean", "mIoU clean", "share", None, "mean IoU with the labels, clean images", of_clean_images=True
    ),
    MetricName("miou_adversarial", "mIoU adversarial", "share", False, "mean IoU with the labels, adversarial images"),
    MetricName("iou_ratio", "IoU ratio", "ratio", False, "mIoU adversarial over mIoU clean, over all images", ARNAB),
    MetricName(
        "miou_off_target_clean", "mIoU off target, clean", "share", None,
        "mean IoU with the labels where these are not the target, clean images", of_clean_images=True,
    ),
    MetricName(
        "miou_off_target", "mIoU off target", "share", False,
        "mean IoU with the labels where these are not the target, adversarial images",
    ),
    MetricName(
        "normalized_miou", "normalized mIoU", "ratio", False, "mIoU off target over mIoU off target, clean", TRANSFER
    ),
    MetricName("map_clean", "mAP clean", "share", None, "mean average precision at an IoU of 0.5, clean images"),
    MetricName(
        "map_adversarial", "mAP adversarial", "share", False,
        "mean average precision at an IoU of 0.5, adversarial images", XIE,
    ),
    MetricName(
        "confidence_clean", "confidence, clean", "share", None,
        "probability of the predicted class, mean over the pixels of clean images", CERTAINTY,
        of_clean_images=True,
    ),
    MetricName(
        "confidence", "confidence", "share", None,
        "probability of the predicted class, mean over the pixels of adversarial images", CERTAINTY,
    ),
    MetricName(
        "entropy_clean", "entropy, clean", "nats", None, "entropy of the class probabilities, clean images", CERTAINTY,
        of_clean_images=True,
    ),
    MetricName(
        "entropy", "entropy", "nats", None, "entropy of the class probabilities, adversarial images", CERTAINTY
    ),
    MetricName("converged", "converged", "share", True, "images on which the attack ended before its last step"),
    MetricName("perceptibility", "perceptibility p", "number", False, "RMS length of the RGB change, from 0 to 1", XIE),
    MetricName("max_norm", "max-norm", "grey levels", False, "largest change of a pixel value in any image"),
    MetricName("mean_change", "mean change", "grey levels", False, "mean absolute change of pixel values", KANG_CHANGE),
    MetricName(
        "source_change", "mean change, source", "grey levels", False,
        "mean absolute change of pixel values of the source classes", KANG_CHANGE,
    ),
    MetricName("rms", "RMS", "grey levels", False, "root mean squared change of pixel values, mean over images"),
    MetricName("psnr", "PSNR", "dB", True, "peak signal-to-noise ratio, mean over images"),
    MetricName(
        "auc", "AUC", "share", None, "pairs of a benign and an attacked image, the latter with the lower score", XIAO
    ),
    MetricName("auc_two_sided", "two-sided AUC", "share", None, "max(AUC, 1 - AUC)"),
    MetricName("auc_low", "AUC, lower bound", "share", None, "lower bound of the 95 % interval over images"),
    MetricName("auc_high", "AUC, upper bound", "share", None, "upper bound of the 95 % interval over images"),
    MetricName(
        "false_positives", "false positives", "share", None,
        "benign images below the lowest score of other benign images", XIAO,
    ),
    MetricName("detected", "detected", "share", None, "attacked images below the lowest score of benign images", XIAO),
    MetricName("ssim", "SSIM", "number", True, "structural similarity, mean over images", "Wang et al., TIP 2004"),
)  # fmt: skip

METRICS = {row.name: row for row in _ROWS}
"""All metrics by name, in the order of the tables."""

RATES = {
    name: METRICS[name]
    for name in ("success_rate", "hidden", "preserved", "remaining", "swapped", "source_kept", "kept")
}
"""The metrics that are quotients of counts and change under an attack (`uap.metrics.counts.COUNTS`)."""


def images_scored(scored: int, in_split: int) -> str:
    """Return the number of scored images as text for tables: `8 of 48`, or `48` for the whole split."""
    return f"{scored} of {in_split}" if scored < in_split else str(scored)


def overall(values: Mapping[str, float]) -> float:
    """Return the mean of some of `RATES`, with 1 - value for those for which lower is better. It can be below 0.

    Args:
        values: the values by name; an empty mapping gives 0.

    Example:
        >>> overall({"hidden": 0.9, "remaining": 0.3})
        0.8
    """
    turned = [value if METRICS[name].higher_is_better else 1 - value for name, value in values.items()]
    return sum(turned) / max(len(turned), 1)


def text_row(title: str, cells: Iterable[str]) -> str:
    """Return a row of `table`.

    Example:
        >>> text_row("images", ["8", "4"])
        'images                                 8           4'
    """
    return f"{title:<28}" + "".join(f"{cell:>12}" for cell in cells)


def table(columns: Mapping[str, Mapping[str, float]], below: Mapping[str, str] | None = None) -> str:
    """Return metrics as a text table, with a row for each metric that any column has.

    Args:
        columns: for each title of a column, the values by name.
        below: further rows by the name of the metric that they stand below.

    Example:
        >>> print(table({"float": {"kept": 0.042}, "8-bit": {"kept": 0.05}}))
                                           float       8-bit
        kept                               4.2 %       5.0 %
    """
    lines = [text_row("", columns)]
    for key, name in METRICS.items():
        if any(key in values for values in columns.values()):
            cells = (name.text(values[key]) if key in values else "" for values in columns.values())
            lines.append(text_row(name.title, cells))
            lines += [below[key]] if below and key in below else []
    return "\n".join(lines)
