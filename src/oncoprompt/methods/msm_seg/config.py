"""Configuration of MSM-Seg: what each part is built with."""

from dataclasses import dataclass, field
from typing import Literal

from oncoprompt.errors import InputError

ROLES = ("t1n", "t1c", "t2w", "t2f", "ct", "other")
"""Channel roles with their own query token and weights; any other channel name has the role "other"."""

Step = tuple[int, int, int]
HieraSize = Literal["tiny", "small", "base-plus", "large"]
HIERA_SIZES: tuple[HieraSize, ...] = ("tiny", "small", "base-plus", "large")


def role_index(name: str) -> int:
    """Place of a channel name in ROLES."""
    return ROLES.index(name) if name in ROLES else ROLES.index("other")


@dataclass(frozen=True)
class CompactConfig:
    """Convolutional 3-D U-Net trunk; a "slice" is a slab of 8 voxels. widths: channels at stride 2, 4, 8, 16."""

    widths: tuple[int, int, int, int] = (32, 64, 96, 128)


@dataclass(frozen=True)
class HieraConfig:
    """SAM 2's Hiera encoder with its feature pyramid; a slice is one image plane of image_size x image_size."""

    size: HieraSize = "small"
    image_size: int = 256

    def __post_init__(self) -> None:
        if self.size not in HIERA_SIZES:
            raise InputError(f"Hiera has no size '{self.size}'. Choose tiny, small, base-plus or large.")
        if self.image_size % 32:
            raise InputError(f"Hiera's image size must be a multiple of 32. Found: {self.image_size}.")


@dataclass(frozen=True)
class MemoryConfig:
    """MSMA and its dual memory: slices = n and channels = k of the paper; dim is the width of a memory token.

    A network built with n = 0 or k = 0 has no such branch; with both it has no memory at all, Z = F.
    """

    slices: int = 4
    channels: int = 3
    dim: int = 48
    d_model: int = 96
    layers: int = 1
    heads: int = 2
    ffn_dim: int = 192
    residual: bool = True

    def __post_init__(self) -> None:
        if self.slices < 0 or self.channels < 0:
            raise InputError(f"Memory lengths cannot be negative. Found: n = {self.slices}, k = {self.channels}.")
        if self.d_model % (4 * self.heads):
            raise InputError(f"d_model must be a multiple of 4 * heads. Found: {self.d_model} and {self.heads} heads.")


@dataclass(frozen=True)
class MemoryEncoderConfig:
    """mask_widths: channels after each step from the mask's grid to the coarse grid.

    full_size: the mask path starts at image size, not on the fine grid; layer_scale: first scale of ConvNeXt blocks.
    """

    mask_widths: tuple[int, ...] = (24, 48)
    mask_kernel: int = 2
    regions: int = 3
    blocks: int = 1
    block_kernel: int = 5
    layer_scale: float = 0.1
    full_size: bool = False
    gelu: bool = False


@dataclass(frozen=True)
class PromptEncoderConfig:
    """MCP-Encoder: widths of features and prompt terms at coarse, middle and fine grid, and of DS.

    Without guidance there is no map of the tumour: DS embeds the prompt maps themselves, H = Z + DS(prompt).
    """

    widths: tuple[int, int, int] = (48, 32, 16)
    prompt_widths: tuple[int, int, int] = (16, 16, 16)
    fine_kernel: int = 1
    embed_widths: tuple[int, int] = (4, 16)
    gelu: bool = False
    guidance: bool = True


@dataclass(frozen=True)
class DecoderConfig:
    """MF-Decoder: two-way transformer, pixel decoder widths (middle, fine), sub-voxels of a fine position.

    guided: the pixel decoder also reads the guidance logits and the channel's own voxels on the fine grid.
    by_role: every channel role has its own query token and weights of its voxels; else all roles share them.
    """

    depth: int = 1
    heads: int = 4
    mlp_dim: int = 192
    extra_tokens: int = 2
    widths: tuple[int, int] = (32, 24)
    subvoxels: Step = (2, 2, 2)
    guided: bool = True
    gelu: bool = False
    by_role: bool = True


@dataclass(frozen=True)
class FusionConfig:
    """Per-voxel softmax over channels: hidden width and kernel of the score network, or, not learned, their mean."""

    hidden: int = 8
    kernel: int = 1
    learned: bool = True


@dataclass(frozen=True)
class MSMSegConfig:
    """The whole network. dim: width of F; fine_dim, middle_dim: widths of the skips; step: scale between two levels.

    descending visits the slices from last to first; bidirectional averages the logits of both directions (inference);
    clip_slices empties the memory after that many slices (None: never, as in the paper). companion: widths at stride 2,
    4, 8 and 16 of the U-Net whose answer is averaged with this one's (docs/decisions/0011), or None for none.
    """

    backbone: CompactConfig | HieraConfig = field(default_factory=CompactConfig)
    dim: int = 96
    middle_dim: int = 48
    fine_dim: int = 24
    step: Step = (2, 2, 2)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    memory_encoder: MemoryEncoderConfig = field(default_factory=MemoryEncoderConfig)
    prompt_encoder: PromptEncoderConfig = field(default_factory=PromptEncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    descending: bool = False
    bidirectional: bool = False
    clip_slices: int | None = None
    companion: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.companion is not None and not isinstance(self.backbone, CompactConfig):
            raise InputError("A companion goes with the compact backbone alone. Leave it out for Hiera.")

    @classmethod
    def compact(cls) -> "MSMSegConfig":
        """The network made for processors without an accelerator."""
        return cls()

    @classmethod
    def hiera(cls, size: HieraSize = "small", faithful: bool = False) -> "MSMSegConfig":
        """SAM 2's sizes at 256 px; faithful leaves the residual of F out, as the paper does."""
        return cls(
            backbone=HieraConfig(size),
            dim=256,
            middle_dim=64,
            fine_dim=32,
            step=(1, 2, 2),
            memory=MemoryConfig(slices=7, dim=64, d_model=256, layers=4, heads=1, ffn_dim=2048, residual=not faithful),
            memory_encoder=MemoryEncoderConfig(
                (4, 16, 64, 256), 3, 1, 2, 7, layer_scale=1e-6, full_size=True, gelu=True
            ),
            prompt_encoder=PromptEncoderConfig((128, 64, 32), (32, 16, 16), 3, gelu=True),
            decoder=DecoderConfig(2, 8, 2048, 2, (64, 32), (1, 1, 1), guided=False, gelu=True),
            fusion=FusionConfig(16, 3),
        )
