"""Files of weights read without running code from them, and recognised by what is in them."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from oncoprompt.errors import WeightsError
from oncoprompt.methods.weight_files import with_manifest

# A file of one program wraps the weights in an entry, one of another prefixes their names.
_ENTRIES = ("average", "model", "state_dict", "model_state_dict")
# What torch's readers raise on damaged files of several ages
_UNREADABLE = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_PREFIX = re.compile(r"^(?:module\.|_orig_mod\.|model\.|network\.|sam\.)+")


class Kind(StrEnum):
    """What a file of weights holds."""

    SAM_ORIGINAL = "SAM in segment_anything's layout"
    SAM_TRANSFORMERS = "SAM in transformers' layout"
    SAM_HQ = "SAM-HQ"
    SAM_2 = "SAM 2"
    TINY_VIT = "LiteMedSAM or MobileSAM"
    COMPACT = "MedSAM compact"
    UNKNOWN = "something else"


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """A state dict as it lies in a file: its kind, what programs had wrapped it in, and the file's checksums.

    ``trained`` is the model's name in the manifest that a training run of ours wrote beside it, None without one.
    """

    name: str
    state: dict[str, Tensor]
    kind: Kind
    wrapped_in: str
    sha256: str
    md5: str
    trained: str | None = None


def read_weights(path: Path) -> WeightsFile:
    """A .safetensors file or one of torch, or the one in a folder of the hub, whatever network it is of.

    Raises WeightsError where it is missing, damaged, not that of its manifest, holds no state dict, or would run code.
    """
    content = _content(path)
    sha256, manifest = with_manifest(file_in(path), content)
    state, wrapped_in = _tensors(content, path.name)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return WeightsFile(path.name, state, recognise(state), wrapped_in, sha256, md5, manifest.get("model"))


def recognise(names: Collection[str]) -> Kind:
    """What a state dict is, by the names of its parameters."""

    def has(pattern: str) -> bool:
        return any(re.match(pattern, name) for name in names)

    if has(r"image_encoder\.trunk\.|vision_encoder\.backbone\."):
        return Kind.SAM_2
    if has(r"image_encoder\.patch_embed\.seq\."):
        return Kind.TINY_VIT
    if has(r"mask_decoder\.(hf_token|hf_mlp|compress_vit_feat)"):
        return Kind.SAM_HQ
    if has(r"image_encoder\.blocks\.") and has(r"mask_decoder\.output_upscaling\."):
        return Kind.SAM_ORIGINAL
    if has(r"vision_encoder\.layers\.") and has(r"mask_decoder\.upscale_conv1\."):
        return Kind.SAM_TRANSFORMERS
    if has(r"stem\.") and has(r"head\.") and has(r"decoder\.\d+\.norm1\."):
        return Kind.COMPACT
    return Kind.UNKNOWN


def file_in(path: Path) -> Path:
    """The weights in a folder as the hub has them; any other path as it is."""
    return next((path / name for name in _HUB_FILES if (path / name).is_file()), path)


def _content(path: Path) -> bytes:
    file = file_in(path)
    if not file.is_file():
        raise WeightsError(
            f"There is no weights file '{path}'. Give a file, or a folder with {' or '.join(_HUB_FILES)}."
        )
    return file.read_bytes()


def _tensors(content: bytes, source: str) -> tuple[dict[str, Tensor], str]:
    """The state dict without the entries and prefixes that programs add, and which those were."""
    loaded = _loaded(content, source)
    entry = next((name for name in _ENTRIES if _is_state(loaded.get(name))), None)
    state = loaded[entry] if entry else loaded
    if not _is_state(state):
        raise WeightsError(
            f"'{source}' holds no state dict of a network. Give a file of weights such as medsam_vit_b.pth."
        )
    prefixes = sorted({match[0] for match in map(_PREFIX.match, state) if match})
    added = ([f"entry '{entry}'"] if entry else []) + [f"prefix '{prefix}'" for prefix in prefixes]
    return {_PREFIX.sub("", name): value for name, value in state.items()}, " and ".join(added)


def _loaded(content: bytes, source: str) -> dict[str, Any]:
    try:
        if _is_safetensors(content):
            return dict(load(content))
        _check_sums(content)
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"'{source}' is damaged, or holds more than weights (it would run code when read); it was not read. "
            "Get the file again, or save its state dict alone."
        ) from error
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"The weights '{source}' cannot be read ({reason}): the file is damaged or no file of weights. "
            "Get it again."
        ) from error
    return loaded if isinstance(loaded, dict) else {}


def _check_sums(content: bytes) -> None:
    """Compare the parts of a zip, which torch's files are, with their checksums, which torch does not do itself."""
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            damaged = file.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of its part '{damaged}' is wrong")


def _is_safetensors(content: bytes) -> bool:
    length = int.from_bytes(content[:8], "little")
    return content[8:9] == b"{" and length < len(content)


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(item, Tensor) for item in value.values())
