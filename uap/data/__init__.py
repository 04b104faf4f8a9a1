"""A LightningDataModule for each data set of `uap.datasets`."""

from uap import datasets
from uap.data.datamodule import SegmentationData
from uap.data.modules import data_module

BDD100K = data_module(datasets.BDD100K)
CamVid = data_module(datasets.CamVid)
Cityscapes = data_module(datasets.Cityscapes)
ImageFolder = data_module(datasets.ImageFolder)
PascalVOC = data_module(datasets.PascalVOC)
StreetScenes = data_module(datasets.StreetScenes)
VideoFrames = data_module(datasets.VideoFrames)

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
