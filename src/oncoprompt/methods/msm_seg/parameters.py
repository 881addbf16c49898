"""Number of parameters of MSM-Seg from the formulas of its layers, without building it."""

from itertools import pairwise
from math import prod

from oncoprompt.methods.msm_seg.config import ROLES, CompactConfig, HieraConfig, MSMSegConfig
from oncoprompt.methods.msm_seg.hiera import hiera_shape

REGIONS = 3
PROMPT_MAPS = 3


def linear(inputs: int, outputs: int) -> int:
    """inputs x outputs weights and a bias; also a 1x1x1 convolution."""
    return inputs * outputs + outputs


def convolution(inputs: int, outputs: int, kernel: int, bias: bool = True) -> int:
    """kernel: number of positions the kernel covers."""
    return kernel * inputs * outputs + bias * outputs


def planes(inputs: int, outputs: int, depth: int, side: int) -> int:
    """A 2-D convolution with the slab's planes as channels, or pointwise for a side of 1."""
    if side == 1:
        return linear(inputs, outputs)
    return convolution(inputs * depth, outputs * depth, side**2)


def analytic_parameter_count(config: MSMSegConfig) -> dict[str, int]:
    """Trainable parameters of each part and their "total"."""
    backbone = config.backbone
    parts = {
        "backbone": compact_backbone(backbone, config)
        if isinstance(backbone, CompactConfig)
        else hiera_backbone(backbone, config),
        "msma": msma(config),
        "memory_encoder": memory_encoder(config),
        "prompt_encoder": prompt_encoder(config),
        "decoder": decoder(config),
        "fusion": fusion(config),
    }
    if config.companion is not None:
        parts["companion"] = companion(config.companion)
    return {**parts, "total": sum(parts.values())}


def compact_backbone(backbone: CompactConfig, config: MSMSegConfig) -> int:
    """Role-specific stem, U-Net of residual blocks and merges, projections to the three levels."""
    w2, w4, w8, _ = backbone.widths
    roles = len(ROLES)

    levels = linear(w8, config.dim) + linear(w4, config.middle_dim) + 2 * w2 + linear(w2, config.fine_dim)
    return roles * 8 * 27 * w2 + 2 * w2 + trunk(backbone.widths) + levels + roles * linear(64, config.dim)


def trunk(widths: tuple[int, int, int, int]) -> int:
    """Steps down, residual blocks and merges of the compact U-Net."""
    w2, w4, w8, w16 = widths
    down = convolution(w2, w4, 27) + convolution(w4, w8, 27) + convolution(w8, w16, 27)
    blocks = residual_block(w4) + residual_block(w8) + 2 * residual_block(w16)
    laterals = linear(w16, w8) + linear(w8, w4) + linear(w4, w2)
    return down + blocks + laterals + residual_block(w8) + residual_block(w4) + residual_block(w2)


def residual_block(width: int) -> int:
    """Two norms and two 3x3x3 convolutions without bias."""
    return 2 * (2 * width + 27 * width * width)


def companion(widths: tuple[int, int, int, int]) -> int:
    """Stems for channels and prompts, the trunk with a second block at two levels, norms, head."""
    w2, w4, w8, _ = widths
    stems = (len(ROLES) + PROMPT_MAPS) * 8 * 27 * w2
    return stems + trunk(widths) + residual_block(w4) + residual_block(w8) + 4 * w2 + linear(w2, 8 * REGIONS)


def hiera_backbone(backbone: HieraConfig, config: MSMSegConfig) -> int:
    """Stem 1 -> 3, patch embedding, position tables, Hiera blocks, feature pyramid, skip projections."""
    shape = hiera_shape(backbone.size)
    dim = shape.dim
    total = linear(1, 3) + convolution(3, dim, 49) + dim * (shape.background**2 + shape.windows[0] ** 2)
    for stage, (width, blocks) in enumerate(zip(shape.dims, shape.blocks, strict=True)):
        for block in range(blocks):
            inputs = shape.dims[stage - 1] if stage and not block else width
            attention = linear(inputs, 3 * width) + linear(width, width)
            mlp = linear(width, 4 * width) + linear(4 * width, width)
            total += 2 * inputs + attention + 2 * width + mlp + (linear(inputs, width) if inputs != width else 0)
    total += sum(linear(width, config.dim) for width in shape.dims)
    return total + linear(config.dim, config.middle_dim) + linear(config.dim, config.fine_dim)


def msma(config: MSMSegConfig) -> int:
    """Each branch that has a bank: phi, attention layers, temporal table, dummy token."""
    memory = config.memory
    parts = [(memory.slices, config.dim // 2), (memory.channels, config.dim - config.dim // 2)]
    branches = [(entries, width) for entries, width in parts if entries]
    if not branches:
        return 0
    d, f = memory.d_model, memory.ffn_dim
    attention = 4 * linear(d, d) + 2 * linear(d, d) + 2 * linear(memory.dim, d)
    layer = 3 * 2 * d + attention + linear(d, f) + linear(f, d)
    out = linear(d, config.dim) if d != config.dim else 0
    return out + sum(
        linear(width, d) + memory.layers * layer + 2 * d + (entries + 1) * memory.dim for entries, width in branches
    )


def memory_encoder(config: MSMSegConfig) -> int:
    """Mask path, feature projection, ConvNeXt blocks, output projection."""
    if not config.memory.slices and not config.memory.channels:
        return 0
    c, dim = config.memory_encoder, config.dim
    kernel = prod(1 if s == 1 else c.mask_kernel for s in config.step)
    widths = (c.regions, *c.mask_widths)
    mask = sum(convolution(a, b, kernel) + 2 * b for a, b in pairwise(widths))
    block = dim * c.block_kernel**2 + dim + 2 * dim + linear(dim, 4 * dim) + linear(4 * dim, dim) + dim
    return mask + linear(widths[-1], dim) + linear(dim, dim) + c.blocks * block + linear(dim, config.memory.dim)


def prompt_encoder(config: MSMSegConfig) -> int:
    """Prompt processors, U-Net from Z to the guidance map, its embedding; or that of the prompt maps alone."""
    c, d1 = config.prompt_encoder, config.step[0]
    w0, w1, w2 = c.widths
    a, b = c.embed_widths
    step = prod(config.step)
    inputs = 1 if c.guidance else PROMPT_MAPS
    embed = convolution(inputs, a, step) + 2 * a + convolution(a, b, step) + 2 * b + linear(b, config.dim)
    if not c.guidance:
        return embed
    total = 0
    for g, w, depth, side in zip(c.prompt_widths, c.widths, (1, d1, d1**2), (3, 3, c.fine_kernel), strict=True):
        total += planes(PROMPT_MAPS, g, depth, side) + planes(g, g, depth, side) + g * w
    total += planes(config.dim, w0, 1, 3) + 2 * w0
    total += linear(config.middle_dim, w1) + w0 * w1 + planes(w1, w1, d1, 3) + 2 * w1
    total += planes(config.fine_dim, w2, d1**2, c.fine_kernel) + w1 * w2 + linear(w2, 1)
    return total + embed


def decoder(config: MSMSegConfig) -> int:
    """Tokens, two-way transformer, pixel decoder, region heads."""
    c, dim = config.decoder, config.dim
    w1, w2 = c.widths
    sub, step = prod(c.subvoxels), prod(config.step)
    narrow = 3 * linear(dim, dim // 2) + linear(dim // 2, dim)
    block = 4 * linear(dim, dim) + 2 * narrow + linear(dim, c.mlp_dim) + linear(c.mlp_dim, dim) + 4 * 2 * dim
    transformer = c.depth * block + narrow + 2 * dim
    pixels = convolution(dim, w1, step) + 2 * w1 + convolution(w1, w2, step)
    pixels += linear(config.middle_dim, w1) if config.middle_dim != w1 else 0
    pixels += linear(config.fine_dim, w2) if config.fine_dim != w2 else 0
    roles = len(ROLES) if c.by_role else 1
    guided = (w2 * config.prompt_encoder.guidance + roles * w2 * sub) * c.guided
    heads = REGIONS * (2 * linear(dim, dim) + linear(dim, w2 * sub) + sub)
    return (roles + c.extra_tokens) * dim + transformer + pixels + guided + heads


def fusion(config: MSMSegConfig) -> int:
    """Score network and role codes."""
    c = config.fusion
    if not c.learned:
        return 0
    logits = planes(REGIONS, c.hidden, config.step[0] ** 2, c.kernel)
    return len(ROLES) * c.hidden + logits + linear(config.dim, c.hidden) + linear(c.hidden, REGIONS)
