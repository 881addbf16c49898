"""SAM 2's published weights as the starting point of the Hiera network, every key accounted for."""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from oncoprompt.errors import WeightsError
from oncoprompt.methods.msm_seg.config import HieraSize, MSMSegConfig
from oncoprompt.methods.msm_seg.model import MSMSeg
from oncoprompt.methods.weight_files import find_file, user_folders
from oncoprompt.nn.sam2_names import to_transformers

_USED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"^vision_encoder\.(.*)$", (r"backbone.encoder.\1",)),
    (r"^mask_decoder\.conv_s0\.(.*)$", (r"backbone.to_fine.\1",)),
    (r"^mask_decoder\.conv_s1\.(.*)$", (r"backbone.to_middle.\1",)),
    (r"^memory_attention\.(.*)$", (r"msma.slice_branch.\1", r"msma.channel_branch.\1")),
    (r"^memory_temporal_positional_encoding$", ("msma.slice_branch.temporal", "msma.channel_branch.temporal")),
    (r"^memory_encoder\.(.*)$", (r"memory_encoder.\1",)),
    (r"^mask_decoder\.transformer\.(.*)$", (r"decoder.transformer.\1",)),
    (r"^mask_decoder\.upscale_conv1\.(.*)$", (r"decoder.up_middle.\1",)),
    (r"^mask_decoder\.upscale_layer_norm\.(.*)$", (r"decoder.norm.\1",)),
    (r"^mask_decoder\.upscale_conv2\.(.*)$", (r"decoder.up_fine.\1",)),
    (r"^mask_decoder\.output_hypernetworks_mlps\.1\.(.*)$", (r"decoder.heads.0.\1",)),
    (r"^mask_decoder\.output_hypernetworks_mlps\.2\.(.*)$", (r"decoder.heads.1.\1",)),
    (r"^mask_decoder\.output_hypernetworks_mlps\.3\.(.*)$", (r"decoder.heads.2.\1",)),
    (r"^mask_decoder\.mask_tokens\.weight$", ("decoder.role_tokens",)),
    (r"^prompt_encoder\.not_a_point_embed\.weight$", ("decoder.extra_tokens",)),
    (r"^prompt_encoder\.shared_embedding\.positional_embedding$", ("decoder.position.frequencies",)),
    (r"^prompt_encoder\.mask_embed\.conv1\.(.*)$", (r"prompt_encoder.embed.0.\1",)),
    (r"^prompt_encoder\.mask_embed\.layer_norm1\.(.*)$", (r"prompt_encoder.embed.1.\1",)),
    (r"^prompt_encoder\.mask_embed\.conv2\.(.*)$", (r"prompt_encoder.embed.3.\1",)),
    (r"^prompt_encoder\.mask_embed\.layer_norm2\.(.*)$", (r"prompt_encoder.embed.4.\1",)),
    (r"^prompt_encoder\.mask_embed\.conv3\.(.*)$", (r"prompt_encoder.embed.6.\1",)),
)
_OURS: tuple[tuple[str, str], ...] = (
    (r"^(msma\..*)\.cross_attn_image\.", r"\1.cross_attn."),
    (r"^(msma\..*|decoder\.transformer\..*)\.o_proj\.", r"\1.out_proj."),
    (r"^(msma\..*|decoder\.transformer\..*)\.layer_norm(\d)\.", r"\1.norm\2."),
    (r"^(msma\.\w+)\.layer_norm\.", r"\1.norm."),
    (r"^(decoder\.transformer\.layers\.\d+)\.cross_attn_token_to_image\.", r"\1.token_to_image."),
    (r"^(decoder\.transformer\.layers\.\d+)\.cross_attn_image_to_token\.", r"\1.image_to_token."),
    (r"^(decoder\.transformer\.layers\.\d+\.mlp)\.proj_in\.", r"\1.layers.0."),
    (r"^(decoder\.transformer\.layers\.\d+\.mlp)\.proj_out\.", r"\1.layers.1."),
    (r"^decoder\.transformer\.final_attn_token_to_image\.", "decoder.transformer.final_attn."),
    (r"^decoder\.transformer\.layer_norm_final_attn\.", "decoder.transformer.norm_final."),
    (r"^(decoder\.heads\.\d)\.layers\.0\.", r"\1.layers.1."),
    (r"^(decoder\.heads\.\d)\.proj_in\.", r"\1.layers.0."),
    (r"^(decoder\.heads\.\d)\.proj_out\.", r"\1.layers.2."),
    (r"^memory_encoder\.projection\.", "memory_encoder.out_proj."),
    (r"^memory_encoder\.feature_projection\.", "memory_encoder.feature_proj."),
    (r"^memory_encoder\.memory_fuser\.layers\.(\d)\.", r"memory_encoder.fuser.\1."),
    (r"^(memory_encoder\.fuser\.\d)\.depthwise_conv\.", r"\1.dwconv."),
    (r"^(memory_encoder\.fuser\.\d)\.pointwise_conv(\d)\.", r"\1.pwconv\2."),
    (r"^(memory_encoder\.fuser\.\d)\.layer_norm\.", r"\1.norm."),
    (r"^(memory_encoder\.fuser\.\d)\.scale$", r"\1.gamma"),
    (r"^memory_encoder\.mask_downsampler\.final_conv\.", "memory_encoder.mask_downsampler.12."),
)
_UNUSED: tuple[tuple[str, str], ...] = (
    (r"^(no_object_pointer|object_pointer_proj\.|mask_downsample\.)", "object pointers: memory holds maps alone"),
    (r"^temporal_positional_encoding_projection_layer\.", "object pointers: memory holds maps alone"),
    (r"^occlusion_spatial_embedding_parameter$", "occlusion: a tumour does not vanish behind something"),
    (r"^no_memory_(embedding|positional_encoding)$", "empty memory: a learned token of memory width stands for it"),
    (r"^mask_decoder\.(iou_token|iou_prediction_head)\b", "IoU prediction: one mask a region, nothing to choose"),
    (r"^mask_decoder\.(obj_score_token|pred_obj_score_head)\b", "object score: presence follows from the masks"),
    (r"^mask_decoder\.output_hypernetworks_mlps\.0\.", "single-mask head: the three others give WT, TC, ET"),
    (r"^prompt_encoder\.point_embed\b", "point prompts: boxes and clicks are maps here"),
    (r"^prompt_encoder\.no_mask_embed\b", "absent mask prompt: guidance is always present"),
    (r"^shared_image_embedding\.positional_embedding$", "second copy of prompt_encoder.shared_embedding"),
)
_NEW = (
    r"^(backbone\.stem\.|msma\.\w+\.(phi|dummy)\b|msma\.out\.|fusion\.|decoder\.bias$"
    r"|prompt_encoder\.(processors|from_|norm0|up_|block|head))"
)


@dataclass(frozen=True)
class LoadReport:
    """Where every key of a checkpoint went: used -> our parameters, unused -> reason; new: ours that stay fresh."""

    used: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    new: tuple[str, ...] = ()


def weights_file(size: HieraSize) -> str:
    """Name of SAM 2.1's published file of a size."""
    return f"sam2.1_hiera_{size.replace('-', '_')}.pt"


def find_weights(size: HieraSize) -> Path:
    """SAM 2's file of a size, from the folder ONCOPROMPT_WEIGHTS or the user's cache.

    Raises WeightsError saying which file is wanted, where it was looked for and how to get it.
    """
    file, folders = weights_file(size), user_folders()
    path = find_file(file, folders)
    if path is not None:
        return path
    raise WeightsError(
        f"SAM 2's weights are missing: {file} was looked for in {', '.join(map(str, folders))}. Get them with "
        f"'hf download facebook/sam2.1-hiera-{size} {file} --local-dir {folders[0]}' or set ONCOPROMPT_WEIGHTS."
    )


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """State dict of a .pt file of SAM 2's release ({"model": ...} or bare) or a .safetensors file of the hub.

    Raises WeightsError where the file is missing, damaged, or holds anything but tensors.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weights file '{path}'. Check the path.")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise WeightsError(f"The weights '{path.name}' cannot be read ({error}). Download the file again.") from error
    state = content.get("model", content) if isinstance(content, dict) else {}
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"'{path.name}' holds no state dict. A file such as sam2.1_hiera_small.pt is wanted.")
    return {name.removeprefix("module."): value for name, value in state.items()}


def hiera_from_sam2(size: HieraSize = "small", weights: Path | None = None) -> MSMSeg:
    """The Hiera network started from SAM 2's weights, to be trained.

    Raises WeightsError where SAM 2's file is neither given nor found, is damaged or belongs to another size.
    """
    path = weights or find_weights(size)
    state = read_checkpoint(path)
    model = MSMSeg(MSMSegConfig.hiera(size))
    load_state(model, state, path.name)
    return model


def load_own(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Fill a network with weights that an earlier run exported; raises WeightsError where they do not fit."""
    own = model.state_dict()
    odd = sorted(set(own) ^ set(state)) or [name for name in own if own[name].shape != state[name].shape]
    if odd:
        raise WeightsError(
            f"The weights '{source}' do not fit this network: {len(odd)} parameters differ, the first is '{odd[0]}'. "
            "They belong to another model or configuration."
        )
    model.load_state_dict({name: value.to(own[name].dtype) for name, value in state.items()})


def our_names(name: str) -> tuple[str, ...]:
    """Our parameters that a checkpoint's key, in either layout, fills; none if it is not used."""
    hub = to_transformers(name)
    for pattern, targets in _USED:
        match = re.match(pattern, hub)
        if match:
            return tuple(_ours(match.expand(target)) for target in targets)
    return ()


def load_sam2_checkpoint(model: MSMSeg, path: Path) -> LoadReport:
    """Fill a Hiera network with SAM 2's weights; the modality branch starts as a copy of the slice branch.

    Tables are filled as far as they reach: temporal codes nearest first (SAM 2's entry i is the item i + 1 frames ago),
    query tokens from the four mask tokens, the tokens of further roles with their mean. Raises WeightsError where a key
    is unknown, does not fit, or a part that SAM 2 should fill is left over (another size, another model).
    """
    return load_state(model, read_checkpoint(path), path.name)


def load_state(model: MSMSeg, state: Mapping[str, Tensor], source: str) -> LoadReport:
    """`load_sam2_checkpoint` for a state dict already read."""
    own = model.state_dict()
    report = LoadReport()
    filled: dict[str, Tensor] = {}
    for name, value in state.items():
        targets = our_names(name)
        if not targets:
            report.unused[name] = _reason(name, source)
            continue
        for target in targets:
            if target not in own:
                raise WeightsError(f"'{source}' has '{name}', for which this network has no '{target}': another size?")
            filled[target] = _fit(value, own[target], name, source)
        report.used[name] = targets
    fresh = tuple(name for name in own if name not in filled)
    lacking = [name for name in fresh if not re.match(_NEW, name)]
    if lacking:
        raise WeightsError(f"'{source}' lacks weights for '{lacking[0]}' and {len(lacking) - 1} more: another model?")
    model.load_state_dict(filled, strict=False)
    return LoadReport(report.used, report.unused, fresh)


def _ours(name: str) -> str:
    name = re.sub(
        r"^memory_encoder\.mask_downsampler\.layers\.(\d)\.(conv|layer_norm)\.",
        lambda m: f"memory_encoder.mask_downsampler.{3 * int(m[1]) + (m[2] != 'conv')}.",
        name,
    )
    for pattern, replacement in _OURS:
        name = re.sub(pattern, replacement, name)
    return name


def _reason(name: str, source: str) -> str:
    hub = to_transformers(name)
    for pattern, reason in _UNUSED:
        if re.match(pattern, hub):
            return reason
    raise WeightsError(f"'{source}' has a key that SAM 2 does not have: '{name}'. A SAM 2 or SAM 2.1 file is wanted.")


def _fit(value: Tensor, own: Tensor, name: str, source: str) -> Tensor:
    """The value in our shape: a depth axis of 1 added to a kernel, a table cut or completed by its mean row."""
    table = ("temporal", "mask_tokens", "not_a_point", "tpos")
    if own.ndim == 2 and any(part in name for part in table):
        rows = value.reshape(-1, value.shape[-1]).to(own.dtype)
        rows = torch.cat([rows, rows.mean(0, keepdim=True).expand(max(0, len(own) - len(rows)), -1)])[: len(own)]
    else:
        rows = value.to(own.dtype)
    squeezed = [n for n in own.shape if n != 1], [n for n in rows.shape if n != 1]
    if squeezed[0] != squeezed[1]:
        found, wanted = tuple(value.shape), tuple(own.shape)
        raise WeightsError(f"'{source}' does not fit: '{name}' is {found}, wanted {wanted}. Another size?")
    return rows.reshape(own.shape)
