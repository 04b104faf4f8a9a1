"""The reproductions of Arnab et al."""

import pytest

from uap.reproduce import load
from uap.reproduction.trials import rows_of


@pytest.mark.parametrize("on", [None, "camvid", "camvid_20"])
def test_figure_2_of_arnab_attacks_the_networks_of_its_data(on: str | None) -> None:
    found = {row.names["network"]: row.trial.words for row in rows_of(load("arnab2018/figure2", on), [])}
    data = "StreetScenes" if on is None else "CamVid"
    assert list(found) == (["ESPNet", "Fast-SCNN", "FCN-8s"] if on is None else ["ESPNet", "CGNet"])
    for words in found.values():
        assert f"--data={data}" in words
        assert ("--data.root=data/camvid" in words) is (on is not None)
        assert words[words.index("--epsilons") + 1 :][:8] == ["0.25", "0.5", "1.0", "2.0", "4.0", "8.0", "16.0", "32.0"]
