"""Tests of the list of metrics, and that all tables use it."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
import torch
import yaml

from tests.report.helpers import FIGURES, Page, make_run, write_rows
from uap import distortions
from uap.evaluation.perturbation_scores import TITLES
from uap.metrics.counts import COUNTS, hidden_counts, remaining_counts
from uap.metrics.names import RATES, images_scored, overall
from uap.metrics.rates import PixelRate, distribution
from uap.objectives import HideClasses
from uap.report import main as report
from uap.reporting import run as reporting_run
from uap.reporting.curves import CHARTS
from uap.utils import paths

FOLDER = paths.shipped("configs/reproduce")


def test_only_remaining_counts_reappearing_pixels() -> None:
    clean = torch.tensor([[[9, 9, 0, 0], [1, 1, 1, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]]], dtype=torch.uint8)
    attacked = torch.tensor([[[0, 0, 9, 9], [9, 1, 1, 1]], [[0, 0, 0, 9], [0, 0, 0, 0]]], dtype=torch.uint8)
    hidden = clean == 9
    assert hidden_counts(attacked, hidden, (9,)).tolist() == [[2, 2], [0, 0]]
    assert remaining_counts(attacked, hidden, (9,)).tolist() == [[3, 2], [1, 0]]
    assert remaining_counts(attacked, hidden | (clean == 1), (1, 9)).tolist() == [[6, 6], [1, 0]]  # of several classes


def test_counts_are_summed_before_they_are_divided() -> None:
    rate = PixelRate()
    rate.update(torch.tensor([[3, 2], [1, 0], [0, 6]]), torch.arange(3))
    assert float(rate.compute()) == 0.5
    rate = PixelRate()
    rate.update(torch.tensor([[1, 0]]), torch.tensor([0]))
    assert float(rate.compute()) != float("inf")  # more of what was not there is no number, and JSON has no infinity


def test_worst_decile_follows_higher_is_better() -> None:
    counts = torch.tensor([[i, 10] for i in range(20)])
    assert distribution(counts)["worst_decile"] == pytest.approx(0.05)
    assert distribution(counts, higher_is_better=False)["worst_decile"] == pytest.approx(1.85)


def test_overall_score_inverts_rates_that_should_be_low() -> None:
    assert overall({"success_rate": 0.7}) == pytest.approx(0.7)
    assert overall({"hidden": 0.9, "preserved": 0.9, "remaining": 0.2}) == pytest.approx(2.6 / 3)
    assert overall({"hidden": 0.9, "preserved": 0.9, "remaining": 3.0}) < 0
    assert overall({}) == 0


def test_metrics_are_computed_and_in_every_table() -> None:
    patterns = {pattern for chart in CHARTS for pattern in chart.solid | chart.dashed}
    for known in (COUNTS, TITLES, reporting_run.RATES, distortions.COLUMNS):
        assert RATES.keys() <= cast(Mapping[str, Any], known).keys()
    assert {f"*/{name}" for name in RATES} <= patterns


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yaml")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_reproductions_of_dynamic_targets_show_all_rates(path: Any) -> None:
    metrics = yaml.safe_load(path.read_text()).get("metrics", {})
    for images in {key.split("/")[0] for key in metrics if key.endswith("/hidden")}:
        assert {f"{images}/{name}" for name in HideClasses.metrics} <= metrics.keys()


def test_tables_have_the_number_of_images() -> None:
    assert images_scored(8, 48) == "8 of 48"
    assert images_scored(48, 48) == "48"


def test_report_shows_values_above_100_percent(tmp_path: Any) -> None:
    run = make_run(tmp_path / "run", FIGURES | {"val/remaining": 1.25})
    rows = [{"image": f"scene_{i}", "hidden": 0.5, "remaining": value} for i, value in enumerate((0.1, 0.95, 23.5))]
    write_rows(run / "per_image.csv", rows)
    report([str(run), "--out", str(tmp_path / "page.html")])
    text = (tmp_path / "page.html").read_text()
    assert "90 % or more: 2 images" in text
    assert "2350.0 %" in text
    assert "Remaining by image" in Page(tmp_path / "page.html").text("strong")
