"""The image encoder of TAGS: SAM's ViT made three-dimensional by windows, adapters and necks."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.tags.adapter import AlignmentAdapter, SpatialAdapter
from oncoprompt.methods.tags.attention import WindowAttention
from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.patch_embedding import VOXELS, PatchEmbedding, TokenPositions
from oncoprompt.methods.tags.tensors import TagsFeatures, Tower
from oncoprompt.methods.tags.windows import Windows
from oncoprompt.nn.norm import ChannelLayerNorm

# SAM's layer norms have this instead of torch's default.
_EPSILON = 1e-6
# Entries of SAM's relative-position tables in its windows of 14 x 14; its global blocks have them for the whole image.
_WINDOWED_TABLE = 27


class Block(nn.Module):
    """Spatial adapter, then SAM's pre-norm block with attention in windows; tokens [B, d, h, w, width]."""

    def __init__(self, config: TagsConfig, table: int) -> None:
        super().__init__()
        width = config.width
        self.adapter = SpatialAdapter(width, config.adapter_width, config.zero_adapters)
        self.norm1 = nn.LayerNorm(width, eps=_EPSILON)
        self.attn = WindowAttention(width, config.heads, config.window, table)
        self.norm2 = nn.LayerNorm(width, eps=_EPSILON)
        layers = OrderedDict(lin1=nn.Linear(width, 4 * width), gelu=nn.GELU(), lin2=nn.Linear(4 * width, width))
        self.mlp = nn.Sequential(layers).requires_grad_(False)

    def forward(self, x: Tensor, windows: Windows, mask: Tensor | None) -> Tensor:
        """The next tokens; mask [B * windows, window^3, window^3] as `Windows.mask` for each item of the batch."""
        x = self.adapter(x)
        x = x + windows.join(self.attn(windows.split(self.norm1(x)), mask))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Stage(nn.Module):
    """What is taken from the tokens after a block: alignment tokens, if there are any, and features."""

    def __init__(self, config: TagsConfig) -> None:
        super().__init__()
        self.alignment = AlignmentAdapter(config.width, config.blend) if config.alignment else None
        self.neck = nn.Sequential(
            nn.Conv3d(config.width, config.features, 1, bias=False),
            ChannelLayerNorm(config.features, eps=_EPSILON),
            nn.Conv3d(config.features, config.features, 3, padding=1, bias=False),
            ChannelLayerNorm(config.features, eps=_EPSILON),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Tokens [B, d, h, w, width] -> blended tokens, alignment tokens or None, features [B, C, d, h, w]."""
        aligned = None
        if self.alignment is not None:
            x, aligned = self.alignment(x)
        return x, aligned, self.neck(x.movedim(-1, 1))


class TagsEncoder(nn.Module):
    """A crop [B, 3, D, H, W] with sides that are multiples of 4 -> features of four depths on a grid of 4-voxel tokens.

    checkpointing: while training, blocks are computed again in the backward pass instead of kept in memory.
    """

    def __init__(self, config: TagsConfig, checkpointing: bool = False) -> None:
        super().__init__()
        self.config = config
        self.checkpointing = checkpointing
        self.patch_embedding = PatchEmbedding(config.width, config.mean_slices)
        self.positions = TokenPositions(config.positions, config.width, 0.0 if config.mean_slices else 1.0)
        self.semantics: nn.Linear | None = None
        if config.image_semantics:
            self.semantics = nn.Linear(config.width, config.width, bias=False)
            nn.init.zeros_(self.semantics.weight)
        # SAM's global blocks are those after which TAGS takes its features
        whole_image = 4 * config.positions - 1
        self.blocks = nn.ModuleList(
            Block(config, whole_image if number in config.stages else _WINDOWED_TABLE)
            for number in range(1, config.depth + 1)
        )
        self.stages = nn.ModuleList(Stage(config) for _ in config.stages)

    def forward(self, volume: Tensor, tower: Tower | None = None) -> TagsFeatures:
        """Features and alignment tokens of a crop; raises InputError for one of another shape.

        A network with image semantics needs CLIP's image tower, of the same width; raises WeightsError without it.
        """
        if volume.ndim != 5 or volume.shape[1] != 3 or any(side % VOXELS or not side for side in volume.shape[2:]):
            raise InputError(
                f"TAGS encodes crops [B, 3, D, H, W] with sides that are multiples of {VOXELS}. "
                f"Found: {list(volume.shape)}. Pad the crop."
            )
        tokens = self.patch_embedding(volume)
        if self.semantics is not None:
            if tower is None or tower.width != self.config.width:
                raise WeightsError(
                    f"This network looks with CLIP's image tower, too, whose vectors have {self.config.width} numbers. "
                    f"Found: {'none' if tower is None else tower.width}. Get CLIP ViT-L/14."
                )
            d, h, w = tokens.shape[1:4]
            seen = tower.semantics(volume[:, :1], self.config.image_semantics, (d, h, w))
            tokens = tokens + self.semantics(seen.movedim(1, -1).to(tokens.dtype))
        return self.encode_tokens(tokens, volume[:, :1])

    def encode_tokens(self, tokens: Tensor, image: Tensor) -> TagsFeatures:
        """All that follows the patch embedding: its tokens [B, d, h, w, width] and the crop's image [B, 1, D, H, W]."""
        batch, *sides = tokens.shape[:4]
        grid = (sides[0], sides[1], sides[2])
        x = tokens + self.positions(grid)
        kinds = [Windows(grid, self.config.window, shifted) for shifted in (True, False)]
        masks = [windows.mask(x.device) for windows in kinds]
        masks = [None if mask is None else mask.repeat(batch, 1, 1) for mask in masks]
        stages = dict(zip(self.config.stages, self.stages, strict=True))
        features, alignments = [], []
        for index, block in enumerate(self.blocks):
            windows, mask = kinds[index % 2], masks[index % 2]
            if self.checkpointing and self.training:
                x = checkpoint(block, x, windows, mask, use_reentrant=False)
            else:
                x = block(x, windows, mask)
            if index + 1 in stages:
                x, aligned, feature = stages[index + 1](x)
                features.append(feature)
                if aligned is not None:
                    alignments.append(aligned.movedim(-1, 1))
        return TagsFeatures(tuple(features), tuple(alignments), image)

    def trainable_names(self) -> tuple[str, ...]:
        """Names of the parameters that are trained; all others are SAM's."""
        return tuple(name for name, parameter in self.named_parameters() if parameter.requires_grad)
