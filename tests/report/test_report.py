import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.report.helpers import CONFIG, FIGURES, Page, make_run, write_rows
from uap.metrics.counts import SIZE_BOUNDS
from uap.report import main, run_command
from uap.utils.errors import InputError

STATIC = {"val/success_rate": 0.7154, "train/success_rate": 0.7459, "epsilon": 5.0, "victim": "ESPNet"}


def report(*runs: Path, out: str = "report.html") -> Page:
    return Page(main([*map(str, runs), "--out", out]))


def test_a_page_has_every_metric_of_the_run(tmp_path: Path) -> None:
    texts = report(make_run(tmp_path / "night run")).text()
    metrics = [
        *("26.8 %", "91.4 %", "68.2 %", "clean images 78.1 %", "training 36.3 %", "training 91.0 %"),  # the head
        *("10", "9.75", "8 × 8", "178,500", "91.4", "8.4", "192", "4fa5416ca31c6980"),  # noqa: RUF001
        *("lowest 1.2 %, median 34.5 %, highest 87.7 %", "worst decile 1.2 %", "worst decile 81.1 %"),  # by image
        *("885,940", "98.8 %", "95.4 %", "42,950", "25.6 %", "75.7 %", "40.5 %"),  # by class
        *("1,212", "20,144", "61.1 %", "21", "190,333", "14.2 %"),  # by size
        *("488", "5,725", "1.2 %", "34.5 %", "97.0 %"),  # image by image
    ]
    assert [metric for metric in metrics if metric not in texts] == []
    assert {"night run", "ESPNet", "the scene without person, rider", "StreetScenes, 16 × 32"} <= set(texts)  # noqa: RUF001
    assert CONFIG.strip() in texts


def test_a_page_loads_nothing_and_runs_nothing_but_its_own_script(tmp_path: Path) -> None:
    page = report(make_run(tmp_path / "run"))
    images = page.all("img")
    assert len(images) == 8
    assert all(re.match(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+$", image["src"]) for image in images)
    assert not {name for name, _ in page.elements} & {"link", "iframe", "object", "embed", "base", "a"}
    assert [attributes for _, attributes in page.elements if "src" in attributes] == images
    for text in page.text("style", "script"):
        assert not re.search(r"https?:|//\w|@import|url\(|fetch\(|import\(", text)
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert "default-src 'none'" in policy
    assert "img-src data:;" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'$", policy)


def test_pictures_have_sliders_and_alternative_texts(tmp_path: Path) -> None:
    page = report(make_run(tmp_path / "run", example="munich/scene 7"))
    alternatives = {image["alt"] for image in page.all("img")}
    assert {
        "Clean image, munich/scene 7",
        "Adversarial image, munich/scene 7",
        "Clean prediction, munich/scene 7",
        "Adversarial prediction, munich/scene 7",
        "The target, munich/scene 7",
        "The true labels, munich/scene 7",
    } <= alternatives
    (slider,) = page.all("input")
    assert slider["type"] == "range"
    assert slider["aria-label"].startswith("munich/scene 7")
    assert {"road", "person"} <= set(page.text("li"))


def test_photographs_are_jpegs_and_masks_keep_their_colors(tmp_path: Path) -> None:
    page = report(make_run(tmp_path / "run"))
    kinds = {image["alt"]: image["src"][: len("data:image/xxxx")] for image in page.all("img")}
    assert kinds["Adversarial image, scene_0"] == "data:image/jpeg"
    assert kinds["Adversarial prediction, scene_0"].startswith("data:image/png")


def test_large_pictures_are_reduced(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    Image.new("RGB", (2048, 1024)).save(run / "pictures" / "panels" / "scene_0" / "image.png")
    sizes = {image["alt"]: (image["width"], image["height"]) for image in report(run).all("img")}
    assert sizes["Clean image, scene_0"] == ("1024", "512")
    assert sizes["Clean prediction, scene_0"] == ("32", "16")


def test_text_from_files_cannot_become_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    by_class = [{"class": evil, "pixels": 1, "preserved": 0.5}]
    run = make_run(
        tmp_path / "'\"><script>alert(2)<",
        FIGURES | {"by_class": by_class, "victim": evil, "data": evil},
        f"a: '{evil}'",
    )
    (run / "pictures" / "legend.json").write_text(json.dumps({evil: ["0) } <script>", 0, 0]}))
    write_rows(run / "per_image.csv", [{"image": evil, "hidden": 0.5}])
    page = report(run)
    assert len(page.all("script")) == 1
    assert "alert" not in "".join(page.text("script", "style"))
    assert page.text().count(evil) >= 5
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_several_runs_are_shown_side_by_side(tmp_path: Path) -> None:
    config = CONFIG.replace("epsilon: 10.0", "epsilon: 5.0").replace(", rider", "")
    runs = [make_run(tmp_path / "a"), make_run(tmp_path / "b", STATIC, config)]
    write_rows(runs[1] / "metrics.csv", [{"step": 3, "train/loss": 1.5}, {"step": 9, "train/loss": 0.5}])
    write_rows(
        runs[1] / "per_image.csv", [{"image": "scene_1", "success_rate": 0.125}, {"image": "other", "success_rate": 1}]
    )
    page = report(*runs)
    lines = [group for group in page.all("g") if group.get("data-label") == "training batches"]
    assert [(line["class"], line["data-values"]) for line in lines] == [
        ("line run-0", "0,5.625 1,2.125"),
        ("line run-1", "3,1.5 9,0.5"),
    ]
    assert len(page.all("input")) == 1  # one slider moves the pictures of both
    assert page.text("h1") == ["2 runs side by side"]
    cells = page.text("th", "td")
    row = cells.index("success rate, validation")
    assert cells[row + 1 : row + 3] == ["–", "71.5 %"]  # noqa: RUF001
    row = cells.index("model.epsilon")
    assert cells[row + 1 : row + 3] == ["10.0", "5.0"]
    row = cells.index("scene_1")
    assert cells[row + 1 : row + 5] == ["34.5 %", "95.0 %", "5,725", "12.5 %"]
    row = cells.index("other")
    assert cells[row + 1 : row + 5] == ["–", "–", "–", "100.0 %"]  # noqa: RUF001


def test_runs_of_one_name_are_distinguished_by_their_folders(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "first" / "run"), make_run(tmp_path / "second" / "run")]
    assert {"first/run", "second/run"} <= set(report(*runs).text("h3"))


@pytest.mark.parametrize(
    "kept", [{"config.yaml"}, {"metrics.csv"}, {"metrics.json"}, {"metrics.json", "per_image.csv"}]
)
def test_sections_that_a_run_does_not_have_are_left_out(tmp_path: Path, kept: set[str]) -> None:
    full = make_run(tmp_path / "full")
    run = tmp_path / "run"
    run.mkdir()
    for name in kept:
        (full / name).rename(run / name)
    titles = report(run).text("h2")
    sections = {
        "config.yaml": ["Metrics", "Configuration"],
        "metrics.csv": ["Curves"],
        "metrics.json": ["Metrics", "By class", "By object size"],
        "per_image.csv": ["Success by image", "Image by image"],
    }
    assert set(titles) == {title for name in kept for title in sections[name]}


def test_an_unfinished_run_says_so_and_shows_its_curves(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "metrics.json").unlink()
    with (run / "metrics.csv").open("a") as file:
        file.write("5,0.")  # killed while it wrote
    page = report(run)
    assert "No final metrics: there is no metrics.json yet. Logged up to step 5." in page.text()
    assert "ESPNet" in page.text("dd")
    assert len(page.all("polyline")) == 7


def test_a_run_of_an_earlier_version_has_plots_instead_of_sliders(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for path in (run / "pictures" / "panels" / "scene_0").iterdir():
        path.unlink()
    Image.new("RGB", (8, 8)).save(run / "pictures" / "scene_0.png")
    Image.new("RGB", (8, 8)).save(run / "pictures" / "scene_0_predictions.png")
    page = report(run)
    assert page.all("input") == []
    assert [image["alt"] for image in page.all("img") if image["alt"].startswith("Figure")] == ["Figure of scene_0"]


def test_metrics_that_are_not_finite_are_dashes(tmp_path: Path) -> None:
    metrics = {**STATIC, "val/miou_adversarial": float("nan"), "seconds": None}
    texts = report(make_run(tmp_path / "run", metrics)).text()
    assert "71.5 %" in texts
    assert not {"nan", "nan %", "None"} & set(texts)


def test_names_that_look_like_numbers_stay_names(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_rows(run / "per_image.csv", [{"image": name, "hidden": 0.5} for name in ("0016E5_07959", "000010")])
    assert {"0016E5_07959", "000010"} <= set(report(run).text("th"))


def test_the_one_step_of_an_evaluation_is_no_curve(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_rows(run / "metrics.csv", [{"step": 0, "val/hidden": 0.5, "val/preserved": 0.9}])
    assert "Curves" not in report(run).text("h2")


def test_object_sizes_are_explained_as_they_are_counted(tmp_path: Path) -> None:
    notes = " ".join(report(make_run(tmp_path / "run")).text("p"))
    bounds = [f"{round(bound**0.5)} x {round(bound**0.5)}" for bound in SIZE_BOUNDS]
    assert f"medium from {bounds[0]} pixels, large from {bounds[1]} pixels" in notes


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("metrics.json", '{"val/hidden": 0.', r"metrics\.json cannot be read .* Run the command that wrote it"),
        ("metrics.json", "[1, 2]", r"metrics\.json holds a list, expected names with values"),
        ("metrics.json", '{"by_class": 3}', r"has 'by_class' of type int, expected list"),
        ("config.yaml", "a: [", r"config\.yaml cannot be read"),
        ("metrics.csv", b"\xff\xfe", r"metrics\.csv cannot be read"),
        ("per_image.csv", "image,hidden\n" + "x" * 200_000, r"per_image\.csv cannot be read \(field larger than"),
        ("perturbation.png", "no picture", r"perturbation\.png cannot be read as a picture"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: str | bytes, sentence: str) -> None:
    run = make_run(tmp_path / "run")
    (run / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=sentence):
        main([str(run)])
    assert not Path("report.html").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has none of config\.yaml, metrics\.json and metrics\.csv, so it is no run"):
        main([str(tmp_path)])
    with pytest.raises(InputError, match="nowhere is no folder, so it is no run"):
        main(["nowhere"])


def test_folders_without_a_run_are_left_out_beside_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    page = main([str(tmp_path / "empty"), str(run)]).read_text()
    assert "warning: " in (printed := capsys.readouterr().err)
    assert "empty has none of config.yaml" in printed
    assert "2 runs" not in page


def test_a_run_is_not_compared_with_itself(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(InputError, match="was given twice"):
        main([str(run), f"{run}/../run"])


def test_a_page_does_not_replace_another_file(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(InputError, match=r"config\.yaml, expected a name that ends in \.html"):
        main([str(run), "--out", str(run / "config.yaml")])
    assert (run / "config.yaml").read_text() == CONFIG
    with pytest.raises(InputError, match=r"cannot be written .* Set another --out"):
        main([str(run), "--out", str(run / "config.yaml" / "report.html")])


def test_bad_input_is_refused_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["report", str(tmp_path)])
    with pytest.raises(SystemExit) as exit_:
        run_command()
    assert exit_.value.code == 2
    assert re.fullmatch(r"error: .* is no run\. .*\n", capsys.readouterr().err)


def test_the_command_needs_neither_torch_nor_lightning(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    program = (
        "import sys; sys.argv = ['report', sys.argv[1]]\n"
        "from uap.report import run_command; run_command()\n"
        "heavy = {'torch', 'pytorch_lightning', 'matplotlib', 'wandb'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program, str(run)], check=True, cwd=tmp_path)
    assert Page(tmp_path / "report.html").text("h1") == ["run"]


def test_logged_curves_are_plotted(tmp_path: Path) -> None:
    groups = [group for group in report(make_run(tmp_path / "run")).all("g") if "data-label" in group]
    assert {group["data-label"]: group["data-values"] for group in groups} == {
        "training batches": "0,5.625 1,2.125",
        "hidden": "1,12.5 3,25",
        "preserved": "1,90 3,87.5",
        "adversarial": "1,68.75 3,50",
        "clean": "1,78 3,78",
        "largest entry of the perturbation": "0,1 1,2",
        "entries at epsilon": "0,0 1,10",
    }
    assert [group["data-label"] for group in groups if "dashed" in group["class"]] == ["clean"]


def test_a_page_does_not_replace_one_of_other_runs(tmp_path: Path) -> None:
    one, two = (make_run(tmp_path / name) for name in ("one", "two"))
    main([str(one)])
    main([str(one)])  # the same again
    both = main([str(one), str(two)]).read_text()  # and more beside it
    for runs in ([one], [two]):
        with pytest.raises(InputError, match=r"report.html is there already and shows other runs .* Set another --out"):
            main([*map(str, runs)])
    assert Path("report.html").read_text() == both
    Path("mine.html").write_text("<p>mine")
    with pytest.raises(InputError, match=r"mine.html is there already"):
        main([str(one), "--out", "mine.html"])
