"""Segmentation networks, one architecture a file: normalized images in, logits out."""

from uap.networks.cgnet import CGNet
from uap.networks.drn import DRND22
from uap.networks.enet import ENet
from uap.networks.espnet import ESPNet
from uap.networks.fast_scnn import FastSCNN
from uap.networks.fcn8s import FCN8s

__all__ = ["DRND22", "CGNet", "ENet", "ESPNet", "FCN8s", "FastSCNN"]
