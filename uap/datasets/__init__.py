"""Data sets of images and labels, as torch data sets."""

from uap.datasets.base import SegmentationDataset
from uap.datasets.bdd100k import BDD100K
from uap.datasets.camvid import CamVid
from uap.datasets.cityscapes import Cityscapes
from uap.datasets.image_folder import ImageFolder
from uap.datasets.streetscenes import StreetScenes
from uap.datasets.video import VideoFrames
from uap.datasets.voc import PascalVOC

__all__ = [
    "BDD100K",
    "CamVid",
    "Cityscapes",
    "ImageFolder",
    "PascalVOC",
    "SegmentationDataset",
    "StreetScenes",
    "VideoFrames",
]
