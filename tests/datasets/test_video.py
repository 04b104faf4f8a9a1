import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.helpers import SIZE, refuses, save
from uap.data import VideoFrames
from uap.datasets import pictures
from uap.datasets.video import VideoFacts, read_frames, video_facts
from uap.utils.errors import InputError

CODECS = {"mp4": "mp4v", "avi": "MJPG"}


def draw(path: Path, frames: int = 30, size: tuple[int, int] = (48, 64)) -> Path:
    """Write a video with the index of each frame in its pixels: a bright column for each bit that is set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = cv2.VideoWriter.fourcc(*CODECS[path.suffix[1:]])
    writer = cv2.VideoWriter(str(path), codec, 12.5, size[::-1])
    for index in range(frames):
        frame = np.full((*size, 3), (200, 40, 20), np.uint8)
        frame[size[0] // 2 :] = 0
        for bit in range(8):
            if index >> bit & 1:
                frame[size[0] // 2 :, bit * size[1] // 8 : (bit + 1) * size[1] // 8] = 255
        writer.write(frame)
    writer.release()
    return path


def index_in(frame: NDArray[np.uint8]) -> int:
    """Return the index in the pixels of a frame `(H, W, 3)` of any size."""
    height, width = frame.shape[:2]
    row = frame[3 * height // 4].mean(1)
    return sum(1 << bit for bit in range(8) if row[(2 * bit + 1) * width // 16] > 128)


def video(root: Path, **settings: Any) -> VideoFrames:
    data = VideoFrames(str(root), **{"size": SIZE, "every": 3, "batch_size": 2, "num_workers": 0, **settings})
    data.prepare_data()
    data.setup("fit")
    return data


def names(data: VideoFrames, role: Any) -> list[str]:
    return [item.name for item in data.datasets[role].items]


@pytest.mark.parametrize("ending", CODECS)
@pytest.mark.parametrize("every", [1, 7])
def test_every_nth_frame_is_read_in_order(tmp_path: Path, ending: str, every: int) -> None:
    frames = list(read_frames(draw(tmp_path / f"v.{ending}"), every))
    assert [index for index, _ in frames] == list(range(0, 30, every))
    for index, frame in frames:
        assert frame.shape == (48, 64, 3)
        assert frame.dtype == np.uint8
        assert index_in(frame) == index
        assert np.abs(frame[4, 4].astype(int) - (20, 40, 200)).max() < 12


@pytest.mark.parametrize("ending", CODECS)
def test_video_facts_has_frames_rate_and_size(tmp_path: Path, ending: str) -> None:
    assert video_facts(draw(tmp_path / f"v.{ending}")) == VideoFacts(30, 12.5, (48, 64))


@pytest.mark.parametrize("workers", [0, 2])
def test_frames_are_exact_in_any_order_and_in_workers(tmp_path: Path, workers: int) -> None:
    data = video(draw(tmp_path / "v.mp4"), num_workers=workers, scored_share=0)
    frames = dict(read_frames(tmp_path / "v.mp4"))
    seen = []
    for batch in data.train_dataloader():
        for row, image in zip(batch["index"].tolist(), batch["image"], strict=True):
            expected = pictures.resize_image(frames[3 * row], SIZE, "pil")
            np.testing.assert_array_equal(image.permute(1, 2, 0), expected)
            assert index_in(expected) == 3 * row
            seen.append(row)
    assert seen != sorted(seen) == list(range(10))


def test_last_share_of_each_video_is_scored(tmp_path: Path) -> None:
    draw(tmp_path / "videos" / "one.mp4")
    draw(tmp_path / "videos" / "more" / "two.avi", frames=7)
    data = video(tmp_path / "videos")
    assert names(data, "train") == ["more_two_000000", "more_two_000003", *[f"one_{i:06d}" for i in range(0, 24, 3)]]
    assert names(data, "scored") == ["more_two_000006", "one_000024", "one_000027"]


def test_video_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = draw(tmp_path / "v.mp4")
    first = video(path).datasets["train"][2]["image"]
    monkeypatch.setattr("uap.datasets.video.read_frames", None)
    assert torch.equal(video(path).datasets["train"][2]["image"], first)


@pytest.mark.parametrize("changed", ["file", "every", "size", "resampling"])
def test_changed_file_or_setting_decodes_frames_again(tmp_path: Path, changed: str) -> None:
    path = draw(tmp_path / "v.mp4")
    before = video(path).datasets["train"].items[1].image
    if changed == "file":
        draw(path, frames=40)
    settings: dict[str, dict[str, Any]] = {
        "every": {"every": 2},
        "size": {"size": (12, 16)},
        "resampling": {"resampling": "opencv"},
    }
    data = video(path, **settings.get(changed, {}))
    assert data.datasets["train"].items[1].image != before
    assert len(list((tmp_path / "cache" / "frames").iterdir())) == 2
    assert data.datasets["train"][1]["image"].shape == (3, *data.size)


def test_stamp_changes_with_frame_and_file(tmp_path: Path) -> None:
    path = draw(tmp_path / "v.mp4")
    items = video(path).datasets["train"].items
    stamps = [item.image.stamp() for item in items]
    assert len({str(stamp) for stamp in stamps}) == len(items)
    draw(path, frames=31)
    assert all(item.image.stamp() != old for item, old in zip(items, stamps, strict=True))


def test_samples_of_frames_can_be_pickled(tmp_path: Path) -> None:
    dataset = video(draw(tmp_path / "v.mp4")).datasets["train"]
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[1]["image"], dataset[1]["image"])


def test_frame_is_found_by_name(tmp_path: Path) -> None:
    data = video(draw(tmp_path / "v.mp4"))
    assert index_in(data.dataset("train").read_image(Path("v_000027"))) == 27
    assert data.dataset("train").find(Path("v_000028")) == data.root / "v_000028"


def test_split_folders_define_the_splits(tmp_path: Path) -> None:
    draw(tmp_path / "videos" / "train" / "a.avi", frames=6)
    draw(tmp_path / "videos" / "val" / "b.avi", frames=4)
    data = video(tmp_path / "videos")
    assert names(data, "train") == ["a_000000", "a_000003"]
    assert names(data, "scored") == ["b_000000", "b_000003"]


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize("damage", [half, lambda path: path.write_bytes(b""), lambda path: path.write_text("text")])
def test_file_other_than_a_video_is_named(tmp_path: Path, damage: Any) -> None:
    path = draw(tmp_path / "v.mp4")
    damage(path)
    with pytest.raises(InputError, match=r"v\.mp4 cannot be opened as a video\. It is truncated"):
        video(path)
    assert not (tmp_path / "cache").exists()


def test_video_without_frames_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"v\.avi (has no frame that can be read|cannot be opened as a video)"):
        list(read_frames(draw(tmp_path / "v.avi", frames=0)))


def test_missing_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no video .*none\.mp4"):
        video_facts(tmp_path / "none.mp4")


def test_folder_without_videos_raises_error(tmp_path: Path) -> None:
    save(tmp_path / "videos" / "1.png", np.zeros((4, 4, 3), np.uint8))
    with refuses("data.root", "missing_file", "No videos in"):
        video(tmp_path / "videos")


def test_unwritable_cache_raises_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("UAP_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"Frames of .*v\.mp4 cannot be kept in .*Set UAP_CACHE"):
        video(draw(tmp_path / "v.mp4"))


def test_frame_missing_in_the_cache_is_named(tmp_path: Path) -> None:
    dataset = video(draw(tmp_path / "v.mp4")).datasets["train"]
    for path in (tmp_path / "cache" / "frames").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"Frame 3 of .*v\.mp4, kept in .*does not exist"):
        dataset[1]


def test_every_below_1_raises_error() -> None:
    with refuses("data.every", "out_of_range"):
        VideoFrames(every=0)
