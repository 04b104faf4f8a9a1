"""A dense conditional random field behind a network."""

import math
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from uap.utils import paths
from uap.utils.errors import InputError, in_setting
from uap.utils.full_precision import full_precision
from uap.victims.victim import Victim
from uap.victims.weights import read_state_dict
from uap.victims.wrapped import WrappedVictim

TRUNCATE = 4
"""The spatial kernel ends after this many standard deviations."""

MATRICES = ("compatibility_matrix", "spatial_ker_weights", "bilateral_ker_weights")
"""Names of the learned matrices C, W_s and W_b in files of github.com/sadeepj/crfasrnn_pytorch."""

HEAD_MULTIPLE = 8
"""The attention kernels of CUDA that do not build the matrix need rows of a multiple of so many numbers."""


class DenseCRF(WrappedVictim):
    """Mean-field inference of a dense CRF as a layer (CRF-RNN, Zheng et al., ICCV 2015, arXiv 1502.03240).

    With unary logits U, each iteration computes Q = softmax(Z) and Z = U + w_s K_s Q + w_b K_b Q, starting from Z = U.
    The kernels are Gaussians whose rows sum to 1: K_s of positions (theta_gamma), and K_b of positions (theta_alpha)
    and colors (theta_beta). K_b is exact, not approximated by a lattice. The compatibility is Potts. The
    published networks have learned matrices, Z = U + C (W_s K_s Q + W_b K_b Q), which `weights` loads; the defaults are
    their initial values 3, 5 and 1 times the identity.

    Example:
        >>> victim = Victim(torch.nn.Conv2d(3, 2, 1), classes=["road", "sky"])
        >>> DenseCRF(victim, iterations=2)(torch.zeros(1, 3, 8, 12)).shape
        torch.Size([1, 2, 8, 12])
    """

    def __init__(
        self,
        victim: Victim,
        iterations: int = 10,
        theta_alpha: float = 160.0,
        theta_beta: float = 3.0,
        theta_gamma: float = 3.0,
        spatial_weight: float = 3.0,
        bilateral_weight: float = 5.0,
        features: Literal["detached", "attached"] = "detached",
        stride: int = 1,
        weights: str | None = None,
    ) -> None:
        """Set the kernels.

        Args:
            victim: gives the unary logits.
            iterations: of the mean field; 0 returns the logits of the victim.
            theta_alpha: standard deviation of positions in the bilateral kernel, in pixels.
            theta_beta: standard deviation of colors in the bilateral kernel, in grey levels.
            theta_gamma: standard deviation of the spatial kernel, in pixels.
            spatial_weight: weight w_s of the spatial kernel.
            bilateral_weight: weight w_b of the bilateral kernel.
            features: `detached` has no gradient through the colors of the bilateral kernel, as in the published
                implementations; `attached` has it.
            stride: computes the bilateral kernel on every so many pixels in each direction, and resizes its result; the
                time falls by the fourth power.
            weights: a file of github.com/sadeepj/crfasrnn_pytorch, whose matrices replace both weights.

        Raises:
            InputError: a value out of range, or a file without the matrices.
        """
        super().__init__(victim)
        thetas = (theta_alpha, theta_beta, theta_gamma)
        if iterations < 0 or min(thetas) <= 0 or stride < 1 or features not in ("detached", "attached"):
            raise InputError(
                f"DenseCRF got iterations={iterations}, theta_alpha={theta_alpha}, theta_beta={theta_beta}, "
                f"theta_gamma={theta_gamma}, stride={stride}, features={features!r}; expected 0 or more iterations, "
                "thetas above 0, a stride of 1 or more, and detached or attached.",
                kind="out_of_range",
            )
        self.iterations = iterations
        self.theta_alpha, self.theta_beta, self.theta_gamma = thetas
        self.spatial_weight, self.bilateral_weight = spatial_weight, bilateral_weight
        self.features = features
        self.stride = stride
        self.register_buffer("matrices", None)
        self.matrices: Tensor | None
        """C W_s and C W_b, `(2, C, C)`, of a file."""
        if weights is not None:
            with in_setting("model.victim.weights"):
                self.matrices = read_matrices(paths.find(weights))

    def settings(self) -> list[Any]:
        """Return iterations, kernels, weights, and `features`, on which gradients depend."""
        kernels = [self.theta_alpha, self.theta_beta, self.theta_gamma, self.spatial_weight, self.bilateral_weight]
        matrices = [] if self.matrices is None else [self.matrices.tolist()]
        return [self.iterations, *kernels, self.features, self.stride, *matrices]

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits `(N, C, H, W)` after the mean field for images `(N, 3, H, W)`."""
        unary: Tensor = self.victim(images)
        # fewer digits than those of float32 cannot hold the exponents
        with torch.autocast(images.device.type, enabled=False), full_precision():
            return self.refine(unary.float(), images.float())

    def refine(self, unary: Tensor, images: Tensor) -> Tensor:
        """Return the logits `(N, C, H, W)` after the mean field.

        Args:
            unary: logits `(N, C, H, W)`.
            images: `(N, 3, H, W)`, 0 to 255.
        """
        colors = images.detach() if self.features == "detached" else images
        points = bilateral_features(colors, self.theta_alpha, self.theta_beta, self.stride)
        logits = unary
        for _ in range(self.iterations):
            q = logits.softmax(1)
            logits = unary + self._weighted(spatial_filter(q, self.theta_gamma), self._bilateral(q, points))
        return logits

    def _weighted(self, near: Tensor, alike: Tensor) -> Tensor:
        """Return the weighted sum of the results of the spatial and the bilateral kernel."""
        if self.matrices is None:
            return self.spatial_weight * near + self.bilateral_weight * alike
        if near.shape[1] != self.matrices.shape[1]:
            raise InputError(
                f"The matrices of the dense CRF are for {self.matrices.shape[1]} classes, and the network has "
                f"{near.shape[1]} outputs. Use the file of a network with these classes.",
                setting="model.victim.weights",
                kind="conflict",
            )
        return torch.einsum("kdc,knchw->ndhw", self.matrices.to(near.dtype), torch.stack([near, alike]))

    def _bilateral(self, q: Tensor, points: Tensor) -> Tensor:
        if self.stride == 1:
            return bilateral_filter(q, points)
        size = (q.shape[-2], q.shape[-1])
        coarse = F.interpolate(q, (points.shape[-2], points.shape[-1]), mode="area")
        return F.interpolate(bilateral_filter(coarse, points), size, mode="bilinear", align_corners=False)


def read_matrices(path: Path) -> Tensor:
    """Return the products C W_s and C W_b of the learned matrices in a file: `(2, C, C)` float32.

    Raises:
        InputError: the file lacks a matrix, or they are not square and of one shape.
    """
    state = read_state_dict(path)
    found = [value for name in MATRICES for key, value in state.items() if key.split(".")[-1] == name]
    shapes = {tuple(value.shape) for value in found}
    if len(found) != len(MATRICES) or len(shapes) != 1 or len(side := shapes.pop()) != 2 or side[0] != side[1]:
        raise InputError(
            f"{path} has not the matrices of one dense CRF: expected {', '.join(MATRICES)}, square and of one shape. "
            "Give the file of a CRF-RNN of crfasrnn_pytorch.",
            kind="unusable_file",
        )
    compatibility, spatial, bilateral = (value.float() for value in found)
    return torch.stack([compatibility @ spatial, compatibility @ bilateral])


def bilateral_features(images: Tensor, theta_alpha: float, theta_beta: float, stride: int = 1) -> Tensor:
    """Return the coordinates `(N, 5, h, w)` of pixels whose Gaussian of standard deviation 1 is the bilateral kernel.

    Args:
        images: `(N, 3, H, W)`, 0 to 255.
        theta_alpha: standard deviation of positions, in pixels.
        theta_beta: standard deviation of colors, in grey levels.
        stride: height and width are divided by it, rounded up.
    """
    height, width = images.shape[-2:]
    size = (-(-height // stride), -(-width // stride))
    colors = images if stride == 1 else F.interpolate(images, size, mode="area")
    rows = (torch.arange(size[0], device=images.device, dtype=images.dtype) + 0.5) * height / size[0]
    columns = (torch.arange(size[1], device=images.device, dtype=images.dtype) + 0.5) * width / size[1]
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None] / theta_alpha
    features = torch.cat([grid.expand(len(images), -1, -1, -1), colors / theta_beta], dim=1)
    return features - features.mean((2, 3), keepdim=True)  # large coordinates would cost float32 its digits


def bilateral_filter(q: Tensor, features: Tensor) -> Tensor:
    """Return K Q `(N, C, h, w)` for the Gaussian kernel K of features `(N, D, h, w)`, whose rows sum to 1.

    A row of K is a softmax over j of f_i f_j - |f_j|^2 / 2, so that attention computes the product without K.

    Args:
        q: `(N, C, h, w)`.
        features: `(N, D, h, w)`.
    """
    points, values = features.flatten(2).transpose(1, 2), q.flatten(2).transpose(1, 2)
    ones = torch.ones_like(points[..., :1])
    query = torch.cat([points, ones], dim=2)
    key = torch.cat([points, -points.square().sum(2, keepdim=True) / 2], dim=2)
    # of one width and contiguous, or the CPU builds the whole matrix
    width = HEAD_MULTIPLE * math.ceil(max(query.shape[2], values.shape[2]) / HEAD_MULTIPLE)
    query, key, padded = (
        F.pad(tensor, (0, width - tensor.shape[2])).contiguous()[:, None] for tensor in (query, key, values)
    )
    filtered = F.scaled_dot_product_attention(query, key, padded, scale=1.0)[:, 0, :, : values.shape[2]]
    return filtered.transpose(1, 2).reshape(q.shape)


def spatial_filter(q: Tensor, theta: float) -> Tensor:
    """Return the Gaussian average `(N, C, H, W)` of `q` over positions; pixels beyond the border do not count.

    Args:
        q: `(N, C, H, W)`.
        theta: standard deviation in pixels; the kernel ends after 4 of them.
    """
    return _smoothing(q.shape[-2], theta, q) @ q @ _smoothing(q.shape[-1], theta, q).T


def _smoothing(length: int, theta: float, like: Tensor) -> Tensor:
    """Return the matrix `(length, length)` of a truncated Gaussian average; its rows sum to 1.

    On the CPU, the product with it is many times faster than a convolution of single planes.
    """
    positions = torch.arange(length, device=like.device, dtype=like.dtype)
    distances = (positions[:, None] - positions).abs()
    kernel = torch.exp(-0.5 * (distances / theta).square()) * (distances <= math.ceil(TRUNCATE * theta))
    return kernel / kernel.sum(1, keepdim=True)
