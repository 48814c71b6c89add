"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) with the channel unit as a number.

Parts stand in the order in which a image meets them. Parameter names are those of torchvision's
`mobilenet_v2`, so its public checkpoints load.
"""

from collections.abc import Sequence

from torch import Tensor, nn

# Table 2 of the paper: one row a stage. Channels are multiples of `filters`, the unit that the
# paper fixes at 8. The table's letters: t = expand_ratio, c = channels, n = num_blocks, s = stride.
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


STEM_CHANNELS = 4  # in units of `filters`


SMALL_IMAGE = 40  # pixels; below this, a stem of stride 1 keeps enough of the image


HEAD_CHANNELS = 1280  # the paper keeps the head at this width below width multiplier 1.0


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU6."""

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
    """Table 1 of the paper: expand, filter each channel on its own, project without activation.

    The input is added to the output where both have the same shape.
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
        """(N, in_channels, H, W) to (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


class FeatureExtractor(nn.Sequential):
    """The convolutional layers in a row; the result is the last map at each resolution."""

    def __init__(self, layers: Sequence[nn.Module], channels: Sequence[int], strides: Sequence[int]):
        super().__init__(*layers)
        # A map is complete where the next layer has a stride, and at the end.
        self.taps = [i for i, stride in enumerate(strides[1:]) if stride > 1] + [len(layers) - 1]
        self.channels = [channels[i] for i in self.taps]
        self.strides = [_product(strides[: i + 1]) for i in self.taps]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps of a batch.

        Args:
            images: Shape (N, in_channels, H, W), normalised.

        Returns:
            One map a resolution, from fine to coarse; map i has `channels[i]` channels and
            1 / `strides[i]` of the image's height and width, rounded up.
        """
        x, maps = images, []
        for i, layer in enumerate(self):
            x = layer(x)
            if i in self.taps:
                maps.append(x)
        return maps


class MobileNetV2(nn.Module):
    """MobileNetV2 as a classifier; `features` alone serves detection and segmentation heads.

    Args:
        filters: The channel unit. 8 is the paper's width multiplier 1.0, 4 is 0.5, 2 is 0.25.
        in_channels: 1 for grey images, 3 for colour.
        num_classes: Number of logits.
        stem_stride: Stride of the first convolution, 2 in the paper. None selects 1 for images below
            40 pixels and 2 otherwise.
        strides: Stride of each of the seven stages; the paper's is (1, 2, 2, 2, 1, 2, 1).
        round_to: Rounds channels to a multiple, as torchvision does with 8 for `width_mult` =
            `filters` / 8, where the head also grows beyond width 1.0. 1 leaves them as they are.
        dropout: Probability of dropping a feature before the last layer.
        bn_momentum: Weight of the newest batch in BatchNorm's running statistics.
        zero_init_residual: Starts every block that has a shortcut as the identity, by a zero weight in
            its last BatchNorm (Goyal et al. 2017, arXiv:1706.02677, section 5.1).
        image_size: Height and width of the images in pixels, to select `stem_stride`; None for any size.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        filters: int = 8,
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
        for name, value in [
            ("filters", filters),
            ("in_channels", in_channels),
            ("num_classes", num_classes),
            ("round_to", round_to),
        ]:
            if value < 1:
                raise ValueError(f"{name}={value}: must be at least 1")
        if len(strides) != len(STAGES) or min(stem_stride, *strides) < 1:
            raise ValueError(
                f"stem_stride={stem_stride}, strides={list(strides)}: "
                f"one number of at least 1 for the stem and for each of the {len(STAGES)} stages"
            )

        def width(units: float) -> int:
            return round_channels(units * filters, round_to)

        channels = width(STEM_CHANNELS)
        layers: list[nn.Module] = [ConvNormAct(in_channels, channels, 3, stem_stride)]
        layer_channels, layer_strides = [channels], [stem_stride]
        for (expand_ratio, units, num_blocks, _), stage_stride in zip(STAGES, strides, strict=True):
            for block in range(num_blocks):
                stride = stage_stride if block == 0 else 1
                layers.append(InvertedResidual(channels, width(units), stride, expand_ratio))
                channels = width(units)
                layer_channels.append(channels)
                layer_strides.append(stride)
        head = HEAD_CHANNELS
        if round_to > 1:
            head = round_channels(HEAD_CHANNELS * max(1.0, filters / 8), round_to)
        layers.append(ConvNormAct(channels, head, 1, 1))
        self.features = FeatureExtractor(layers, [*layer_channels, head], [*layer_strides, 1])
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(head, num_classes))
        self._initialise(bn_momentum, zero_init_residual)

    def forward(self, images: Tensor) -> Tensor:
        """Classify images.

        Args:
            images: Shape (N, in_channels, H, W), float, normalised as in `data.preprocessing`.

        Returns:
            Logits, shape (N, num_classes), not probabilities.
        """
        x = self.features(images)[-1]  # (N, head, h, w)
        x = x.mean(dim=(2, 3))  # (N, head)
        return self.classifier(x)

    def _initialise(self, bn_momentum: float, zero_init_residual: bool) -> None:
        """He et al. 2015 (arXiv:1502.01852) for convolutions; the last layer starts near zero."""
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


def round_channels(channels: float, multiple: int) -> int:
    """The nearest multiple, but never below 90 % of `channels` and never below `multiple`.

    The rule of the paper's reference code, which torchvision follows; 1 returns whole numbers as
    they are.
    """
    rounded = max(multiple, int(channels + multiple / 2) // multiple * multiple)
    return rounded if rounded >= 0.9 * channels else rounded + multiple


def _product(numbers: Sequence[int]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product
