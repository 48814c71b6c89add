"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) with the channel unit as an argument.

Classes are defined in the order in which an image passes through them. Parameters have the names of
torchvision's `mobilenet_v2`, so its public checkpoints load.
"""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

# Table 2 of the paper, one row per stage. Channels are multiples of `filters`, which is 8 in the paper.
# The table's letters are t = expand_ratio, c = channels, n = num_blocks, s = stride.
STAGES = (
    # expand_ratio, channels / filters, num_blocks, stride
    (1, 2, 1, 1),
    (6, 3, 2, 2),
    (6, 4, 3, 2),
    (6, 8, 4, 2),
    (6, 12, 3, 1),
    (6, 20, 3, 2),
    (6, 40, 1, 1),
)
STEM_CHANNELS = 4  # multiple of `filters`
SMALL_IMAGE = 40  # pixels; below this, a stem of stride 1 keeps enough of the image
HEAD_CHANNELS = 1280  # at every width, unless `round_to` is above 1; the paper keeps it below width 1.0


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch normalization and ReLU6."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, groups: int = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding=kernel_size // 2,
                groups=groups,
                bias=False,
            ),
            nn.BatchNorm2d(out_channels),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    """Table 1 of the paper: expand channels, filter each one separately, project without activation.

    If input and output have the same shape, the input is added to the output.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        hidden = in_channels * expand_ratio
        expand = [ConvNormAct(in_channels, hidden, 1, 1)] if expand_ratio != 1 else []
        self.conv = nn.Sequential(
            *expand,
            ConvNormAct(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


class FeatureExtractor(nn.Sequential):
    """The convolutional layers in sequence; returns the last feature map at each resolution.

    Args:
        layers: The layers.
        channels: Output channels of each layer.
        strides: Stride of each layer.

    Attributes:
        out_indices: Layers whose outputs are returned: those before a stride, and the last one.
        channels: Channels of each returned map.
        reductions: Total stride of each returned map.
    """

    def __init__(self, layers: Sequence[nn.Module], channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__(*layers)
        self.out_indices = [i for i, stride in enumerate(strides[1:]) if stride > 1] + [len(layers) - 1]
        self.channels = [channels[i] for i in self.out_indices]
        self.reductions = [prod(strides[: i + 1]) for i in self.out_indices]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps of a batch.

        Args:
            images: Shape (N, in_channels, H, W), normalized.

        Returns:
            One map per resolution, from fine to coarse. Map i has shape
            (N, channels[i], ceil(H / reductions[i]), ceil(W / reductions[i])).
        """
        x, maps = images, []
        for i, layer in enumerate(self):
            x = layer(x)
            if i in self.out_indices:
                maps.append(x)
        return maps


class MobileNetV2(nn.Module):
    """MobileNetV2 as a classifier; `features` is the backbone for detection and segmentation heads.

    Args:
        filters: The channel unit: 8 is width multiplier 1.0 in the paper, 4 is 0.5, 2 is 0.25. A fraction
            needs a `round_to` above 1: with 8, 2.8 is torchvision's width 0.35 and 11.2 is 1.4.
        in_channels: 1 for grayscale images, 3 for color.
        num_classes: Number of logits.
        stem_stride: Stride of the first convolution, 2 in the paper. None selects 1 for images below 40
            pixels and 2 otherwise.
        strides: Stride of each of the seven stages; (1, 2, 2, 2, 1, 2, 1) in the paper.
        round_to: Rounds channels to a multiple of it. With 8, channels are those of torchvision's
            `width_mult` = `filters` / 8, where the head also grows above width 1.0; 1 does not round.
        dropout: Probability of dropping a feature before the last layer.
        bn_momentum: Weight of the current batch in the running statistics of batch normalization.
        zero_init_residual: Makes every block with a shortcut start as the identity, by a zero weight in its
            last batch normalization (Goyal et al. 2017, arXiv:1706.02677, section 5.1).
        image_size: Side of the images in pixels, to select `stem_stride`; None for any size.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        filters: float = 8,
        in_channels: int = 1,
        num_classes: int = 10,
        stem_stride: int | None = 2,
        strides: Sequence[int] = (1, 2, 2, 2, 1, 2, 1),
        round_to: int = 1,
        dropout: float = 0.2,
        bn_momentum: float = 0.1,
        zero_init_residual: bool = False,
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        if stem_stride is None:
            stem_stride = 1 if image_size is not None and image_size < SMALL_IMAGE else 2
        _check_positive(filters=filters, in_channels=in_channels, num_classes=num_classes, round_to=round_to)
        if round_to == 1 and filters != int(filters):
            raise ValueError(f"filters={filters}: makes fractions of channels; use an integer or round_to=8")
        if len(strides) != len(STAGES) or min(stem_stride, *strides) < 1:
            raise ValueError(
                f"stem_stride={stem_stride}, strides={list(strides)}: must be at least 1, with one stride "
                f"for each of the {len(STAGES)} stages"
            )

        self.features = _build_features(filters, in_channels, (stem_stride, *strides), round_to)
        head = self.features.channels[-1]
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(head, num_classes))
        self._initialize(bn_momentum, zero_init_residual)

    def forward(self, images: Tensor) -> Tensor:
        """Classify a batch of images.

        Args:
            images: Shape (N, in_channels, H, W), float32, normalized as in `data.transforms.preprocessing`.

        Returns:
            Logits, shape (N, num_classes).
        """
        x = self.features(images)[-1]  # (N, head, h, w)
        x = x.mean(dim=(2, 3))  # (N, head)
        return self.classifier(x)

    def stages(self) -> dict[str, list[nn.Module]]:
        """Return the modules of each stage, in order, for `models.stages`."""
        stem, *blocks, head = self.features
        stages = {"stem": [stem]}
        for number, (_, _, num_blocks, _) in enumerate(STAGES, start=1):
            stages[f"stage {number}"], blocks = blocks[:num_blocks], blocks[num_blocks:]
        return stages | {"head": [head], "classifier": [self.classifier]}

    def _initialize(self, bn_momentum: float, zero_init_residual: bool) -> None:
        """Initialize convolutions as in He et al. 2015 (arXiv:1502.01852), and the last layer near zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.BatchNorm2d):
                module.momentum = bn_momentum
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
            elif isinstance(module, InvertedResidual) and zero_init_residual and module.has_shortcut:
                nn.init.zeros_(module.conv[-1].weight)  # type: ignore[arg-type]


def _build_features(
    filters: float, in_channels: int, strides: Sequence[int], round_to: int
) -> FeatureExtractor:
    """Build the convolutional layers; `strides` are those of the stem and of each stage."""
    stem_stride, *stage_strides = strides
    channels = [round_channels(STEM_CHANNELS * filters, round_to)]
    layers: list[nn.Module] = [ConvNormAct(in_channels, channels[0], 3, stem_stride)]
    layer_strides = [stem_stride]
    for (expand_ratio, units, num_blocks, _), stage_stride in zip(STAGES, stage_strides, strict=True):
        for stride in [stage_stride] + [1] * (num_blocks - 1):
            out_channels = round_channels(units * filters, round_to)
            layers.append(InvertedResidual(channels[-1], out_channels, stride, expand_ratio))
            channels.append(out_channels)
            layer_strides.append(stride)
    head = HEAD_CHANNELS
    if round_to > 1:
        head = round_channels(HEAD_CHANNELS * max(1.0, filters / 8), round_to)
    layers.append(ConvNormAct(channels[-1], head, 1, 1))
    return FeatureExtractor(layers, [*channels, head], [*layer_strides, 1])


def round_channels(channels: float, multiple: int) -> int:
    """Return the nearest multiple that is at least 90 % of `channels`, and at least `multiple`.

    This is the rule of the paper's reference code and of torchvision. A multiple of 1 keeps integers.
    """
    rounded = max(multiple, int(channels + multiple / 2) // multiple * multiple)
    return rounded if rounded >= 0.9 * channels else rounded + multiple


def _check_positive(**arguments: float) -> None:
    for name, value in arguments.items():
        if value < 1:
            raise ValueError(f"{name}={value}: must be at least 1")
