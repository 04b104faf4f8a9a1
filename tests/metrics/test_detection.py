"""Mean average precision against cases computed by hand."""

import pytest
import torch

from uap.metrics.detection import average_precisions, box_iou, mean_average_precision
from uap.utils.detections import Detections
from uap.utils.errors import InputError

LEFT, RIGHT, FAR = [0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0], [50.0, 50.0, 60.0, 60.0]


def boxes(*found: tuple[list[float], int, float]) -> Detections:
    rows, classes, scores = zip(*found, strict=True) if found else ((), (), ())
    return Detections(torch.tensor(rows).reshape(-1, 4), torch.tensor(classes).long(), torch.tensor(scores).float())


def test_iou_of_boxes() -> None:
    shifted = torch.tensor([[5.0, 0.0, 15.0, 10.0], [10.0, 0.0, 20.0, 10.0]])
    torch.testing.assert_close(box_iou(torch.tensor([LEFT]), shifted), torch.tensor([[50 / 150, 0.0]]))


def test_area_under_precision_and_recall_by_hand() -> None:
    truth = [boxes((LEFT, 1, 1.0), (RIGHT, 1, 1.0)), boxes((LEFT, 1, 1.0))]
    # by score: right, wrong, right, right; recalls 1/3, 1/3, 2/3, 1 at precisions 1, 1/2, 2/3, 3/4
    found = [boxes((LEFT, 1, 0.9), (FAR, 1, 0.8), (RIGHT, 1, 0.7)), boxes((LEFT, 1, 0.6))]
    assert average_precisions(found, truth)[1] == pytest.approx((1 + 3 / 4 + 3 / 4) / 3)


def test_an_object_is_found_once() -> None:
    twice = [boxes((LEFT, 1, 0.9), (LEFT, 1, 0.8), (RIGHT, 1, 0.7))]
    truth = [boxes((LEFT, 1, 1.0), (RIGHT, 1, 1.0))]
    assert average_precisions(twice, truth)[1] == pytest.approx((1 + 2 / 3) / 2)


def test_the_threshold_is_on_the_iou() -> None:
    found = [boxes(([0.0, 0.0, 10.0, 6.0], 1, 0.9))]  # an IoU of 0.6
    assert mean_average_precision(found, [boxes((LEFT, 1, 1.0))], 0.6) == 1.0
    assert mean_average_precision(found, [boxes((LEFT, 1, 1.0))], 0.61) == 0.0


def test_classes_without_objects_have_no_precision_and_missed_ones_have_none() -> None:
    found = [boxes((LEFT, 1, 0.9), (RIGHT, 3, 0.9)), boxes()]
    truth = [boxes((LEFT, 1, 1.0)), boxes((LEFT, 2, 1.0))]
    assert average_precisions(found, truth) == {1: 1.0, 2: 0.0}
    assert mean_average_precision(found, truth) == 0.5


def test_no_object_and_other_numbers_of_images_are_refused() -> None:
    with pytest.raises(InputError) as error:
        average_precisions([boxes((LEFT, 1, 0.9))], [boxes()])
    assert error.value.setting == "data"
    with pytest.raises(InputError):
        average_precisions([boxes()], [])


@pytest.mark.parametrize("box", [[10.0, 0.0, 10.0, 5.0], [10.0, 0.0, 5.0, 5.0], [0.0, 0.0, float("nan"), 5.0]])
def test_boxes_without_an_area_are_refused(box: list[float]) -> None:
    with pytest.raises(InputError) as error:
        boxes((box, 1, 1.0))
    assert error.value.setting == "boxes"


def test_wrong_shapes_and_classes_are_refused() -> None:
    with pytest.raises(InputError) as error:
        Detections(torch.tensor([LEFT]), torch.tensor([1, 2]))
    assert error.value.kind == "wrong_shape"
    with pytest.raises(InputError) as error:
        boxes((LEFT, -1, 1.0))
    assert error.value.setting == "classes"
