"""Configuration of the volumetric networks."""

from dataclasses import dataclass, field

from oncoprompt.errors import InputError

CHANNELS = ("t1n", "t1c", "t2w", "t2f")
"""Input channels of an MRI network in their fixed order."""


@dataclass(frozen=True)
class DynUNetConfig:
    """MONAI's DynUNet, the network of nnU-Net (arXiv 1809.10486); filters: width at stride 2, 4, 8, ...

    ``supervised`` levels below the finest have heads of their own while it trains (deep supervision).
    """

    filters: tuple[int, ...] = (32, 64, 128, 192)
    supervised: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.supervised <= len(self.filters) - 2:
            raise InputError(
                f"Of {len(self.filters)} levels of filters at most {max(len(self.filters) - 2, 0)} can be supervised "
                f"besides the finest. Found: {self.supervised}."
            )

    @property
    def stride(self) -> int:
        """Voxels of an image to one position of the deepest level."""
        return int(2 ** len(self.filters))


@dataclass(frozen=True)
class SegResNetConfig:
    """MONAI's SegResNet (arXiv 1810.11654); filters: width at stride 2, doubled a level; residual blocks a level."""

    filters: int = 32
    blocks_down: tuple[int, ...] = (1, 2, 4)
    blocks_up: tuple[int, ...] = (1, 1)

    def __post_init__(self) -> None:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise InputError(
                f"SegResNet needs one number of blocks up fewer than down. Found: {self.blocks_up}, {self.blocks_down}."
            )

    @property
    def stride(self) -> int:
        """Voxels of an image to one position of the deepest level."""
        return int(2 ** len(self.blocks_down))


@dataclass(frozen=True)
class VolumetricConfig:
    """A network over the whole region of interest; channels: those it sees, in their fixed order.

    box, clicks and anatomy: whether their maps are input channels.
    """

    core: DynUNetConfig | SegResNetConfig = field(default_factory=DynUNetConfig)
    channels: tuple[str, ...] = CHANNELS
    box: bool = True
    clicks: bool = True
    anatomy: bool = False

    @property
    def inputs(self) -> int:
        """Number of input volumes: the channels and the maps."""
        return len(self.channels) + self.box + 2 * self.clicks + self.anatomy


CORES: dict[str, DynUNetConfig | SegResNetConfig] = {"dynunet": DynUNetConfig(), "segresnet": SegResNetConfig()}
"""The cores by the names of their models, of the compact MSM-Seg's size (4.6 M parameters) and speed.

Processor seconds of a training step on one thread, 72 and 88 voxels a side, four channels: DynUNet 1.9 and 3.3,
SegResNet 1.7 and 2.9, compact 2.2 and 3.3.
"""
