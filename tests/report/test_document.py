import pytest
from jinja2 import UndefinedError

from uap.reporting.chart import Line, line_chart
from uap.reporting.document import document, render


def test_a_value_that_a_template_needs_and_does_not_get_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="cards"):
        document("report.html", title="run", made="", shown=[])


def test_text_in_attributes_is_escaped() -> None:
    evil = '"><script>alert(1)</script>'
    svg = render("chart.svg", chart=line_chart(evil, [Line(evil, [(0.0, 0.0), (1.0, 1.0)])], evil))
    assert "<script" not in svg
    assert svg.count("&lt;script&gt;") == 3
    assert svg.count('"') % 2 == 0
