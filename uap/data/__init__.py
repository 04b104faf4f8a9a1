"""Data sets: one file each over one LightningDataModule base."""

from uap.data.bdd100k import BDD100K
from uap.data.camvid import CamVid
from uap.data.cityscapes import Cityscapes
from uap.data.datamodule import SegmentationData
from uap.data.image_folder import ImageFolder
from uap.data.streetscenes import StreetScenes
from uap.data.video import VideoFrames
from uap.data.voc import PascalVOC

__all__ = [
    "BDD100K",
    "CamVid",
    "Cityscapes",
    "ImageFolder",
    "PascalVOC",
    "SegmentationData",
    "StreetScenes",
    "VideoFrames",
]
