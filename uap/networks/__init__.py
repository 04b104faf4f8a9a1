"""Networks, one architecture per file: segmentation networks map normalized images to logits."""

from uap.networks.cgnet import CGNet
from uap.networks.deeplabv2 import DeepLabv2ResNet, DeepLabv2VGG
from uap.networks.dicenet import DiCENet
from uap.networks.dilated import DilatedNet
from uap.networks.dla import DLA34
from uap.networks.drn import DRND22
from uap.networks.enet import ENet
from uap.networks.espnet import ESPNet
from uap.networks.espnetv2 import ESPNetv2
from uap.networks.fast_scnn import FastSCNN
from uap.networks.fastestdet import FastestDet
from uap.networks.fcn8s import FCN8s
from uap.networks.fcn8s_resnet import FCN8sResNet
from uap.networks.icnet import ICNet
from uap.networks.pspnet import PSPNet
from uap.networks.segnet import SegNet

__all__ = [
    "DLA34",
    "DRND22",
    "CGNet",
    "DeepLabv2ResNet",
    "DeepLabv2VGG",
    "DiCENet",
    "DilatedNet",
    "ENet",
    "ESPNet",
    "ESPNetv2",
    "FCN8s",
    "FCN8sResNet",
    "FastSCNN",
    "FastestDet",
    "ICNet",
    "PSPNet",
    "SegNet",
]
