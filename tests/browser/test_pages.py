"""The pages in a real browser: what the mouse, the keyboard, a phone and a dark screen do to them."""

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.conftest import Open

pytestmark = pytest.mark.browser

SLIDERS = ["report", "report_of_several_runs", "reproduction"]
PAGES = [*SLIDERS, "robustness"]
SHADES = {"light": False, "dark": True}

CONTRASTS = """
const rgb = (color) => color.match(/[\\d.]+/g).map(Number);
const luminance = (color) => {
  const [r, g, b] = rgb(color).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const opaque = (color) => (rgb(color)[3] ?? 1) === 1;
const behind = (element) => {
  const color = getComputedStyle(element).backgroundColor;
  return opaque(color) || element === document.documentElement ? color : behind(element.parentElement);
};
const texts = [...document.body.querySelectorAll("*:not(script):not(title):not(.corner)")].filter((element) =>
  [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim()),
);
return [document.body, ...texts].map((element) => {
  const style = getComputedStyle(element);
  const text = luminance(element instanceof SVGElement ? style.fill : style.color);
  const [low, high] = [text, luminance(behind(element))].sort((a, b) => a - b);
  return [`${element.tagName} ${element.textContent.trim().slice(0, 40)}`, (high + 0.05) / (low + 0.05)];
});
"""
"""WCAG's contrast of the body, and of each element with a text of its own, with the background behind it."""


def run(driver: Chrome, script: str, *arguments: Any) -> Any:
    """Run a script in the page, and return its result."""
    return driver.execute_script(script, *arguments)


def act(driver: Chrome) -> ActionChains:
    """A sequence of actions, with faster movements of the mouse than selenium's."""
    return ActionChains(driver, duration=50)


def all_of(driver: Chrome, selector: str) -> list[WebElement]:
    return driver.find_elements(By.CSS_SELECTOR, selector)


def clean_share(stack: WebElement) -> float:
    """The share of the picture, from the left, that shows the clean one, as a screenshot shows it."""
    row = np.asarray(Image.open(io.BytesIO(stack.screenshot_as_png)).convert("RGB"), int)
    is_clean = (row[..., 2] > row[..., 0] + 99)[-10]  # below the titles in the corners
    edge = int(is_clean.argmin()) if not is_clean.all() else len(is_clean)
    assert not is_clean[edge:].any()
    return edge / len(is_clean)


def tab_to(driver: Chrome, element: WebElement) -> None:
    """Press the tabulator key until an element has the focus."""
    for _ in range(200):
        act(driver).send_keys(Keys.TAB).perform()
        if driver.switch_to.active_element == element:
            return
    raise AssertionError(f"the tabulator key does not reach {element.get_attribute('outerHTML')}")


@pytest.mark.slow
@pytest.mark.parametrize("name", SLIDERS)
def test_the_arrow_keys_move_the_edge_in_all_pictures_of_an_example(opened: Open, name: str) -> None:
    driver = opened(name)
    example, *_ = all_of(driver, ".example")
    stacks = example.find_elements(By.CSS_SELECTOR, ".stack")
    assert [clean_share(stack) for stack in stacks] == pytest.approx([0.5] * len(stacks), abs=0.02)
    tab_to(driver, example.find_element(By.CSS_SELECTOR, "input"))
    for keys, share in {Keys.ARROW_LEFT * 20: 0.3, Keys.ARROW_RIGHT * 50: 0.8, Keys.HOME: 0, Keys.END: 1}.items():
        act(driver).send_keys(keys).perform()
        assert [clean_share(stack) for stack in stacks] == pytest.approx([share] * len(stacks), abs=0.02)


@pytest.mark.parametrize("name", SLIDERS)
def test_the_mouse_drags_the_slider_and_the_edge_itself(opened: Open, name: str) -> None:
    driver = opened(name)
    example, *_ = all_of(driver, ".example")
    slider, stacks = (example.find_element(By.CSS_SELECTOR, "input"), example.find_elements(By.CSS_SELECTOR, ".stack"))
    for grip in (slider, stacks[0], stacks[-1]):
        width = grip.size["width"]
        for start, end in ((0, 0.25), (-0.25, -0.3)):
            drag = act(driver).move_to_element_with_offset(grip, round(start * width), 0).click_and_hold()
            drag.move_by_offset(round((end - start) * width), 0).release().perform()
            shares = [clean_share(stack) for stack in stacks]
            assert shares == pytest.approx([0.5 + end] * len(stacks), abs=0.03)
            assert int(slider.get_attribute("value") or 0) == pytest.approx(100 * (0.5 + end), abs=3)
        act(driver).move_to_element_with_offset(grip, round(-0.4 * width), 0).click().perform()
        assert [clean_share(stack) for stack in stacks] == pytest.approx([0.1] * len(stacks), abs=0.03)


def column(table: WebElement, number: int) -> list[str]:
    """The texts of a column, from top to bottom."""
    script = "return [...arguments[0].tBodies[0].rows].map((row) => row.cells[arguments[1]].textContent)"
    return list(run(table.parent, script, table, number))


def ordered(texts: list[str]) -> tuple[list[str], list[str]]:
    """The texts of a column in ascending and in descending order; cells without a value are last in both."""
    numbers = {text: re.match(r"-?[\d,.]+", text) for text in texts}
    empty = [text for text in texts if text == "\N{EN DASH}"]
    known = [text for text in texts if text not in empty]
    if all(numbers[text] for text in known):
        known.sort(key=lambda text: float(numbers[text][0].replace(",", "")))  # type: ignore[index]
    else:
        known.sort()
    return known + empty, known[::-1] + empty


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_title_sorts_its_column_by_mouse_and_by_keyboard(opened: Open, name: str) -> None:
    driver = opened(name)
    tables = all_of(driver, "table.sortable")
    assert tables
    changed = 0
    for table in {tables[0], tables[-1]}:
        titles = table.find_elements(By.CSS_SELECTOR, "thead tr:last-child > *")
        assert len(titles) == len(table.find_elements(By.CSS_SELECTOR, "tbody tr:first-child > *"))
        for number, title in enumerate(titles):
            button = title.find_element(By.TAG_NAME, "button")
            before = column(table, number)
            up, down = ordered(before)
            run(driver, "arguments[0].scrollIntoView({block: 'center', inline: 'center'})", button)
            button.click()
            assert column(table, number) == up
            assert title.get_attribute("aria-sort") == "ascending"
            button.click()
            assert column(table, number) == down
            assert [t.get_attribute("aria-sort") for t in titles].count(None) == len(titles) - 1
            assert title.get_attribute("aria-sort") == "descending"
            changed += up != down
    assert changed
    title = tables[0].find_elements(By.CSS_SELECTOR, "thead tr:last-child > *")[1]
    tab_to(driver, title.find_element(By.TAG_NAME, "button"))
    for key, order in {Keys.ENTER: "ascending", Keys.SPACE: "descending"}.items():
        act(driver).send_keys(key).perform()
        assert title.get_attribute("aria-sort") == order


@pytest.mark.parametrize("dark", SHADES.values(), ids=SHADES)
@pytest.mark.parametrize("name", PAGES)
def test_a_phone_scrolls_tables_but_never_the_page_sideways(opened: Open, name: str, dark: bool) -> None:
    driver = opened(name, width=390, dark=dark)
    for details in all_of(driver, "summary"):
        details.send_keys(Keys.ENTER)
    assert all_of(driver, "details:not([open])") == []
    width = run(driver, "return [innerWidth, document.documentElement.scrollWidth]")
    assert width == [390, 390]
    wide = [box for box in all_of(driver, ".box") if int(box.get_property("scrollWidth")) > box.size["width"] + 40]  # type: ignore[arg-type]
    assert wide
    tab_to(driver, wide[0])
    act(driver).send_keys(Keys.ARROW_RIGHT).pause(0.3).perform()
    assert int(wide[0].get_property("scrollLeft")) > 0  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PAGES)
def test_light_and_dark_can_both_be_read(opened: Open, name: str) -> None:
    bodies = []
    for dark in SHADES.values():
        driver = opened(name, dark=dark)
        contrasts = run(driver, CONTRASTS)
        assert len(contrasts) > 20
        assert [(text, round(contrast, 2)) for text, contrast in contrasts if contrast < 4.5] == []
        bodies.append(driver.find_element(By.TAG_NAME, "body").value_of_css_property("background-color"))
    assert bodies[0] != bodies[1]


@pytest.mark.parametrize("name", ["report", "report_of_several_runs"])
def test_the_pointer_over_a_chart_shows_the_values_there(opened: Open, name: str) -> None:
    driver = opened(name)
    chart, *_ = all_of(driver, "svg[data-chart]")
    lines = chart.find_elements(By.CSS_SELECTOR, ".line")
    run(driver, "arguments[0].scrollIntoView({block: 'center'})", chart)
    act(driver).move_to_element(chart).perform()
    values = [element.text for element in all_of(driver, ".values div")]
    assert len(values) == 1 + len(lines)
    assert re.fullmatch(r"step \d+", values[0])
    for text, line in zip(values[1:], lines, strict=True):
        assert text.startswith(f"{line.get_attribute('data-label')}: ")
    act(driver).move_to_element(all_of(driver, "h1")[0]).perform()
    assert all_of(driver, ".values") == []
