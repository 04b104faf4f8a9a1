import re
from itertools import pairwise

import pytest

from uap.reporting.chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MAX_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    Drawing,
    Line,
    histogram,
    line_chart,
    thinned,
    ticks,
)
from uap.reporting.document import render


def svg_of(drawing: Drawing) -> str:
    return render("chart.svg", chart=drawing)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0, 191, [0, 50, 100, 150, 200]),
        (0, 5.66, [0, 2, 4, 6]),
        (0, 0.0031, [0, 0.001, 0.002, 0.003, 0.004]),
        (-0.3, 0.9, [-0.5, 0, 0.5, 1]),
        (0, 0, [0, 0.2]),
        (0, 178_500, [0, 50_000, 100_000, 150_000, 200_000]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_thinning_keeps_the_mean_and_short_lines() -> None:
    points = [(float(i), float(i % 7)) for i in range(1000)]
    few = thinned(points)
    assert len(few) <= MAX_POINTS
    assert few[0] == (3.0, 3.0)  # the mean of 0 to 6
    assert thinned(points[:MAX_POINTS]) == points[:MAX_POINTS]


def test_a_line_goes_through_its_points() -> None:
    svg = svg_of(
        line_chart("Loss", [Line("batches", [(0.0, 0.0), (50.0, 2.0), (100.0, 4.0)], run=1, dashed=True)], "step")
    )
    middle = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    (points,) = re.findall(r'points="([^"]*)"', svg)
    assert [tuple(map(float, pair.split(","))) for pair in points.split()] == [
        (LEFT, HEIGHT - BOTTOM),
        middle,
        (WIDTH - RIGHT, TOP),
    ]
    assert 'class="line run-1 dashed"' in svg
    assert 'data-values="0,0 50,2 100,4"' in svg


def test_a_histogram_counts_each_value_once() -> None:
    svg = svg_of(histogram("Success", [0.0, 9.99, 10.0, 55.0, 100.0], 0, 12.34, "success"))
    bars = re.findall(r"<title>(\d+) to (\d+) %: (\d+) images</title>", svg)
    assert bars == [("0", "10", "2"), ("10", "20", "1"), ("50", "60", "1"), ("90", "100", "1")]
    heights = [float(height) for height in re.findall(r'height="([\d.]+)"', svg)]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.1)
    assert "worst decile 12.3 %" in svg


def test_axes_of_counts_are_whole_numbers() -> None:
    svg = svg_of(histogram("Success", [5.0], 0, None, "success"))
    labels = [float(label) for label in re.findall(r'text-anchor="end">([\d.]+)<', svg)]
    assert labels == [0, 1]
    assert all(b > a for a, b in pairwise(labels))
