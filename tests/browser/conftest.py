"""The pages that the commands write, and a headless Chromium that opens them. Nothing is downloaded."""

import contextlib
import io
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.evaluation.test_robustness import network, run
from tests.report.helpers import CONFIG, make_run
from tests.reproduce.helpers import PAPER, reproduce, reproduction
from uap import report

CLEAN, ADVERSARIAL = (0, 0, 255), (255, 0, 0)
"""The colors of the pictures under a slider, so that a screenshot tells which of the two is shown."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

Open = Callable[..., Chrome]


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of each command that writes one, by name."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["uap"])
        patch.setenv("UAP_CACHE", str(folder / "cache"))
        patch.setenv("WANDB_MODE", "disabled")
        for name, epsilon in {"one": "10.0", "another_run_with_a_long_name_2026-01-01": "5.0"}.items():
            paint(make_run(folder / name, config=CONFIG.replace("10.0", epsilon)))
        runs = sorted(str(path.parent) for path in folder.glob("*/config.yaml"))
        table = reproduction(paper=PAPER, curves="epsilon", examples=1, perturbations=True)
        reproduce(table)
        paint(Path("out"))
        robust = run(folder / "camvid", [network("plain"), network("low", 105)], ["FGSM", "DAG"], [0.5, 40, 55.5, 70])
        return {
            "report": folder / report.main([str(folder / "one")]),
            "report_of_several_runs": folder / report.main([*runs, "--out", "several.html"]),
            "reproduction": folder / reproduce(table),
            "robustness": folder / robust / "robustness.html",
        }


def paint(folder: Path) -> None:
    """Replace the pictures under sliders by plain colors."""
    for path in folder.rglob("panels/**/*.png"):
        with Image.open(path) as picture:
            size = picture.size
        Image.new("RGB", size, ADVERSARIAL if path.stem.startswith("adversarial") else CLEAN).save(path)


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """A headless Chromium with its driver."""
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("there is no Chromium with a chromedriver; install Debian's packages chromium and chromium-driver")
    options = ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options, Service(driver))
    yield chrome
    chrome.quit()


@pytest.fixture
def opened(browser: Chrome, pages: dict[str, Path]) -> Iterator[Open]:
    """A function that opens a page by its name. After the test, the console must be empty."""

    def open_page(name: str, width: int = 1280, dark: bool = False) -> Chrome:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        browser.get(pages[name].as_uri())
        return browser

    yield open_page
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
