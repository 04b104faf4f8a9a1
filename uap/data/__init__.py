"""Data sets: one file each over one LightningDataModule base."""

from uap.data.base import SegmentationData
from uap.data.camvid import CamVid
from uap.data.cityscapes import Cityscapes
from uap.data.streetscenes import StreetScenes

__all__ = ["CamVid", "Cityscapes", "SegmentationData", "StreetScenes"]
