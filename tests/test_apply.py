"""Tests of `python -m uap.apply`."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.helpers import save
from uap.apply import check_fit, main
from uap.evaluation.adversarial_pictures import check_written
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import save_perturbation
from uap.utils.errors import InputError
from uap.utils.video_file import VideoFile

BRIGHTNESS = Path(__file__).parent / "brightness.yaml"
RNG = np.random.default_rng(0)


def perturbation(size: tuple[int, int] = (8, 12), learned: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """Write p.safetensors, a perturbation within 20 grey levels, and return it as (h, w, 3)."""
    noise = Perturbation(size, 20)
    torch.manual_seed(0)
    torch.nn.init.uniform_(noise.proto, -20, 20)
    save_perturbation(noise, Path("p.safetensors"), {"size": str(list(learned or size))})
    return noise.proto.detach().permute(1, 2, 0).numpy()


def picture(height: int = 8, width: int = 12) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, 3)).astype(np.uint8)


def read(path: str | Path) -> NDArray[np.uint8]:
    with Image.open(path) as opened:
        return np.asarray(opened)


def run(*arguments: str | Path) -> None:
    main([*map(str, arguments), "--perturbation", "p.safetensors", "--out", "out"])


def expected(image: NDArray[np.uint8], noise: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the adversarial image without the code under test: add, round half to even, clip."""
    return np.clip(np.rint(image.astype(np.float64) + noise), 0, 255).astype(np.uint8)


def test_image_is_the_original_plus_the_perturbation_in_8_bits() -> None:
    noise, image = perturbation(), picture()
    save(Path("photo.png"), image)
    run("photo.png")
    assert np.array_equal(read("out/photo.png"), expected(image, noise))
    assert np.abs(read("out/photo.png").astype(int) - image).max() <= 20


def test_subfolders_and_names_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    perturbation()
    for name in ("a/one.png", "a/b/two.jpg", "a/b/two.png", "a/notes.txt"):
        save(Path(name), picture()) if name != "a/notes.txt" else Path(name).write_text("no picture")
    run("a")
    written = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.*"))
    assert written == ["b/two.jpg.png", "b/two.png.png", "one.png"]
    assert "3 files read, results in out" in capsys.readouterr().out


def test_exif_data_are_kept_and_images_are_rotated() -> None:
    noise = perturbation((12, 8))
    image = picture(8, 12)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"  # stored turned: to be rotated by 90 degrees clockwise
    Image.fromarray(image).save("photo.png", exif=exif)
    run("photo.png")
    assert np.array_equal(read("out/photo.png"), expected(np.rot90(image, -1), noise))
    with Image.open("out/photo.png") as written:
        assert written.getexif().get(0x010F) == "a camera"
        assert 0x0112 not in written.getexif()


@pytest.mark.parametrize(("height", "width"), [(8, 12), (20, 30), (5, 7)])
def test_periodic_perturbation_fits_any_image(height: int, width: int) -> None:
    noise, image = perturbation((4, 6), learned=(8, 12)), picture(height, width)
    save(Path("photo.png"), image)
    run("photo.png")
    tiled = np.tile(noise, (8, 8, 1))[:height, :width]
    assert np.array_equal(read("out/photo.png"), expected(image, tiled))


def test_fit_and_size_handle_another_image_size() -> None:
    noise = perturbation()
    large, small = picture(10, 14), picture(6, 7)
    save(Path("large.png"), large)
    save(Path("small.png"), small)
    with pytest.raises(
        InputError, match=r"large.png: The image has 10 x 14 pixels, the perturbation 8 x 12.* --fit tile"
    ):
        run("large.png")
    run("large.png", "--fit", "tile")
    assert np.array_equal(read("out/large.png"), expected(large, np.tile(noise, (2, 2, 1))[:10, :14]))
    run("small.png", "--fit", "crop")
    assert np.array_equal(read("out/small.png"), expected(small, noise[:6, :7]))
    with pytest.raises(InputError, match="more than the 8 x 12 of the perturbation"):
        run("large.png", "--fit", "crop")
    run("large.png", "--size", "8", "12")
    assert read("out/large.png").shape == (8, 12, 3)


def test_victim_adds_predictions(capsys: pytest.CaptureFixture[str]) -> None:
    perturbation()
    image = np.full((8, 12, 3), 60, np.uint8)
    image[:, 6:] = 200
    save(Path("photo.png"), image)
    run("photo.png", "--victim", BRIGHTNESS)
    clean = read("out/photo_prediction_clean.png")
    assert len(np.unique(clean.reshape(-1, 3), axis=0)) == 2
    assert (clean[:, :6] == clean[0, 0]).all()
    assert np.array_equal(read("out/photo_prediction.png"), clean)  # 20 levels do not cross the threshold
    assert "the prediction changed on 0.0 % of the pixels" in capsys.readouterr().out

    save(Path("photo.png"), np.full((8, 12, 3), 127, np.uint8))
    run("photo.png", "--victim", BRIGHTNESS)
    changed = float((read("out/photo.png").mean(2) > 128).mean())
    assert 0 < changed < 1
    assert f"on {100 * changed:.1f} % of the pixels" in capsys.readouterr().out


@pytest.fixture
def video() -> list[NDArray[np.uint8]]:
    frames = [picture(16, 24) for _ in range(4)]
    with VideoFile(Path("drive.mkv"), 12.0, lossless=True) as file:
        for frame in frames:
            file.write(frame)
    return frames


def frames_of(path: str) -> tuple[list[NDArray[np.uint8]], float]:
    opened = cv2.VideoCapture(path)
    frames = []
    while (frame := opened.read())[0]:
        frames.append(np.asarray(frame[1][..., ::-1], np.uint8))
    return frames, opened.get(cv2.CAP_PROP_FPS)


def test_video_is_written_lossless_and_side_by_side(video: list[NDArray[np.uint8]]) -> None:
    noise = perturbation((16, 24))
    run("drive.mkv", "--victim", BRIGHTNESS)
    written, rate = frames_of("out/drive.mkv")
    assert rate == pytest.approx(12)
    assert len(written) == 4
    for frame, adversarial in zip(video, written, strict=True):
        assert np.array_equal(adversarial, expected(frame, noise))
    panels, rate = frames_of("out/drive_side_by_side.mp4")
    assert rate == pytest.approx(12)
    assert [panel.shape for panel in panels] == [(32, 48, 3)] * 4


def test_panel_of_odd_size_is_written() -> None:
    with VideoFile(Path("odd.mp4"), 0.0) as file:
        file.write(picture(15, 21))
    frames, rate = frames_of("odd.mp4")
    assert frames[0].shape == (14, 20, 3)
    assert rate == 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.png"], r"There is no none.png. Give images, videos, or folders of them"),
        (["notes.txt"], r"notes.txt is neither an image nor a video: known are .*.jpg, "),
        (["empty"], r"No images or videos in empty: known are"),
        (["broken.png"], r"broken.png is not a picture"),
        (["broken.mp4"], r"broken.mp4 cannot be opened as a video"),
        (["photo.png", "--victim", "nobody"], "There is no victim nobody"),
    ],
)
def test_bad_input_prints_an_error_message(arguments: list[str], message: str) -> None:
    perturbation()
    save(Path("photo.png"), picture())
    Path("empty").mkdir()
    for name in ("notes.txt", "broken.png", "broken.mp4"):
        Path(name).write_text("nothing of the kind")
    with pytest.raises(InputError, match=message):
        run(*arguments)


def test_unwritable_folder_raises_error() -> None:
    perturbation()
    save(Path("photo.png"), picture())
    Path("out").write_text("a file")
    with pytest.raises(InputError, match=r"out.photo cannot be written \(.*\). Set another --out"):
        run("photo.png")


def test_originals_are_not_overwritten() -> None:
    perturbation()
    image = picture()
    save(Path("out/photo.png"), image)
    with pytest.raises(InputError, match=r"--out out is the folder of the originals"):
        run("out")
    save(Path("a/out/photo.png"), image)
    with pytest.raises(InputError, match=r"photo.png is an original and would be overwritten. Set another --out"):
        check_written([Path("a/out/photo.png")], [Path("a/out/photo.png")])
    assert np.array_equal(read("out/photo.png"), image)


def test_duplicate_outputs_raise_error() -> None:
    perturbation()
    for name in ("a/x.jpg", "b/x.jpg", "c/x.png", "c/x_prediction.png"):
        save(Path(name), picture())
    with pytest.raises(InputError, match=r"Two of the inputs would be written to out/x.jpg.png"):
        run("a", "b")
    with pytest.raises(InputError, match=r"Two of the inputs would be written to out/x_prediction.png"):
        run("c", "--victim", BRIGHTNESS)
    run("c")
    assert not Path("out/x.jpg.png").exists()


def test_folder_of_results_is_not_an_input(capsys: pytest.CaptureFixture[str]) -> None:
    perturbation()
    save(Path("photos/x.png"), picture())
    for _ in range(2):
        main(["photos", "--perturbation", "p.safetensors", "--out", "photos/adversarial"])
        assert "1 file read" in capsys.readouterr().out


def test_color_profile_of_another_color_space_is_not_kept() -> None:
    perturbation()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(picture()).save("rgb.png", icc_profile=profile)
    Image.fromarray(picture()).convert("CMYK").save("cmyk.tif", icc_profile=profile)
    for name, kept in (("rgb.png", profile), ("cmyk.tif", None)):
        run(name)
        with Image.open(Path("out") / Path(name).with_suffix(".png")) as written:
            assert written.info.get("icc_profile") == kept


@pytest.mark.parametrize("size", ["0", "-4", "a"])
def test_size_below_1_raises_error(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["x", "--perturbation", "p", "--out", "o", "--size", size, "8"])
    assert ended.value.code == 2
    assert "--size" in capsys.readouterr().err


@pytest.mark.parametrize("fit", ["refuse", "tile", "crop"])
def test_training_size_always_fits(fit: str) -> None:
    check_fit(Perturbation((4, 6), 1), "[4, 6]", (4, 6), fit)  # type: ignore[arg-type]
