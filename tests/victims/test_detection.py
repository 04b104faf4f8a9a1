"""Detection networks as victims: fixed boxes, class logits with a gradient, and their objects."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from uap.attacks import DAG
from uap.networks.fastestdet import FastestDet, decode
from uap.networks.small_faster_rcnn import SmallFasterRCNN
from uap.objectives import BoxClasses
from uap.utils.class_tables import IGNORE
from uap.utils.detections import Detections
from uap.utils.errors import InputError
from uap.victims.cell_detector import CellDetector
from uap.victims.detection import DetectionVictim, FasterRCNN

TWO_STAGE = ["background", "person", "car", "bus"]


def faster(**settings: Any) -> FasterRCNN:
    torch.manual_seed(0)
    return FasterRCNN(SmallFasterRCNN(4, channels=8, hidden=8), classes=TWO_STAGE, **{"proposals": 40, **settings})


def cells() -> CellDetector:
    torch.manual_seed(0)
    return CellDetector(FastestDet(3), classes=TWO_STAGE[1:], input_size=(64, 64), score=0.0)


def picture(seed: int = 1, size: tuple[int, int] = (64, 96)) -> Tensor:
    return 255 * torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("build", [faster, cells])
def test_class_logits_of_the_boxes_of_one_image(build: Any) -> None:
    victim: DetectionVictim = build()
    fixed = victim.fixed(picture())
    images = torch.cat([picture(), picture(2)]).requires_grad_()
    logits = fixed(images)
    assert logits.shape == (2, len(victim.table), len(fixed.boxes))
    torch.testing.assert_close(fixed(picture(2)), logits[1:])  # independent of the batch
    gradient = torch.autograd.grad(logits.sum(), images)[0]
    assert all(one.abs().sum() > 0 for one in gradient)
    assert not victim.train().training


def test_proposals_of_faster_rcnn_are_the_ones_that_it_classifies() -> None:
    torch.manual_seed(0)
    network = SmallFasterRCNN(4, channels=8, hidden=8).eval()
    network.rpn._post_nms_top_n["testing"] = 40
    network.rpn.nms_thresh = 0.9
    victim = FasterRCNN(network, classes=TWO_STAGE, proposals=40)
    image = picture()
    seen = []
    network.roi_heads.box_predictor.register_forward_hook(lambda module, given, found: seen.append(found[0]))
    network(image / 255)
    own = victim.classify(image, victim.boxes(image))[0].T
    torch.testing.assert_close(own, seen[0])


def test_denser_proposals_with_a_higher_threshold_and_the_network_keeps_its_own() -> None:
    image = picture()
    few, many = (len(faster(proposals=5000, proposal_nms=nms).boxes(image)) for nms in (0.3, 0.9))
    assert few < many
    victim = faster()
    rpn: Any = victim.network.rpn
    before = rpn.nms_thresh, rpn.post_nms_top_n()
    victim.boxes(image)
    assert (rpn.nms_thresh, rpn.post_nms_top_n()) == before


def test_boxes_are_in_pixels_of_the_image_that_the_network_resizes() -> None:
    victim = faster()
    means = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    victim.network.transform = GeneralizedRCNNTransform(128, 1000, **means)  # twice the image
    boxes = victim.boxes(picture())
    assert boxes[:, 2].max() <= 96
    assert boxes[:, 3].max() <= 64
    assert boxes[:, 2].max() > 48


def test_boxes_that_overlap_an_object_of_their_class_show_it() -> None:
    victim = cells()
    image = picture()
    objects = Detections(torch.tensor([[0.0, 0.0, 96.0, 64.0]]), torch.tensor([1]))
    fixed = victim.fixed(image, objects)
    assert set(fixed.objects.tolist()) == {1, IGNORE} or set(fixed.objects.tolist()) == {1}
    away = Detections(torch.tensor([[900.0, 900.0, 990.0, 990.0]]), torch.tensor([1]))
    assert set(victim.fixed(image, away).objects.tolist()) == {IGNORE}


def test_dag_changes_the_classes_of_the_boxes_with_objects_alone() -> None:
    fixed = cells().fixed(picture(), Detections(torch.tensor([[0.0, 0.0, 96.0, 64.0]]), torch.tensor([1])))
    fixed.objects = fixed(picture()).argmax(1)[0]
    attack = DAG(gamma=2.0)
    adversarial = attack(fixed, picture(), BoxClasses())
    assert attack.cost.converged is not None
    assert attack.cost.converged.all()
    assert (fixed(adversarial).argmax(1)[0] != fixed.objects).all()
    active = attack.cost.active
    assert active is not None
    assert active[0, 0] == 1
    assert active[0, -1] == 0
    assert active.shape == (1, int(attack.cost.steps[0]) + 1)


def test_networks_without_boxes_and_images_without_objects_are_refused() -> None:
    with pytest.raises(InputError) as error:
        DAG()(torch.nn.Conv2d(3, 2, 1), picture(), BoxClasses())
    assert error.value.setting == "objective"
    fixed = cells().fixed(picture(), Detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)))
    with pytest.raises(InputError) as error:
        DAG()(fixed, picture(), BoxClasses())
    assert error.value.setting == "images"


@pytest.mark.parametrize("settings", [{"proposals": 0}, {"proposal_nms": 0.0}])
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        faster(**settings)


def test_boxes_of_cells_by_hand() -> None:
    raw = torch.zeros(1, 4, 2, 4)
    raw[0, 0] = 20.0  # one cell to the right
    raw[0, 3] = 20.0  # the whole height
    torch.testing.assert_close(decode(raw)[0, 1], torch.tensor([0.25, -0.5, 0.75, 0.5]))  # the cell (0, 1)


def test_fastestdet_has_the_published_names() -> None:
    names = set(FastestDet(80).state_dict())
    assert {
        "backbone.stage3.7.branch_main.5.weight",
        "SPP.S3.7.bias",
        "detect_head.cls_layers.conv5x5.3.weight",
    } <= names
    assert FastestDet(80).SPP.Conv1x1.conv1x1[0].weight.shape == (96, 336, 1, 1)
