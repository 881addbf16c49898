"""`oncoprompt models verify`, `convert` and `join-ct`: what files of weights are, and the same weights otherwise."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oncoprompt.cli.console import Talk, say, say_json
from oncoprompt.cli.given import check_if_there
from oncoprompt.cli.options import AsJson, Overwrite, Quiet, Verbose
from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


VERIFY_EXAMPLE = "Example: oncoprompt models verify medsam_vit_b.pth"
CONVERT_EXAMPLE = "Example: oncoprompt models convert medsam_vit_b.pth -o medsam.safetensors"
JOIN_EXAMPLE = "Example: oncoprompt models join-ct RUN/tags-compact.safetensors CT-RUN/tags-compact.safetensors -o BOTH"


class Layout(StrEnum):
    """Names of parameters: those of Meta's segment_anything, or those of transformers."""

    ORIGINAL = "original"
    TRANSFORMERS = "transformers"


Weights = Annotated[
    Path, typer.Argument(help="File of weights (.pth, .pt, .bin, .safetensors) or a folder of the hub.")
]


def verify(weights: Weights, as_json: AsJson = False, quiet: Quiet = False, verbose: Verbose = 0) -> None:
    """Say what a file of weights is, by its content, and whether it loads."""
    with Talk(quiet, verbose).errors_told():
        check_if_there(weights, "WEIGHTS")
        found = verified(weights)
        if as_json:
            say_json(found)
        else:
            say(f"{found['told']}\nSHA-256 {found['sha256']}; it loads.")


def convert(
    weights: Weights,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.safetensors or .pth).")],
    layout: Annotated[Layout, typer.Option(help="Names of the parameters in it.")] = Layout.TRANSFORMERS,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Write SAM or MedSAM weights in another layout; wrappers and prefixes of training programs are taken off."""
    with Talk(quiet, verbose).errors_told(overwrite):
        check_if_there(weights, "WEIGHTS")
        told = converted(weights, output, layout)
        if not quiet:
            say(f"{told}\n{output} ({layout} layout)")


def join_ct(
    mri: Annotated[Path, typer.Argument(help="Weights of tags-compact (.safetensors).")],
    ct: Annotated[Path, typer.Argument(help="Weights of a run on CT alone that started from them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for both in one file and its manifest.")],
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Put the layers that a run of tags-compact trained on CT alone beside its weights for MRI."""
    with Talk(quiet, verbose).errors_told(overwrite):
        check_if_there(mri, "MRI", folder=False)
        check_if_there(ct, "CT", folder=False)
        from oncoprompt.training.join_ct import join_ct as joined

        path = joined(mri, ct, output)
        if not quiet:
            say(str(path))


def verified(weights: Path) -> dict[str, str]:
    """Kind, sentence and SHA-256 of a file that loads; raises WeightsError where it does not."""
    from oncoprompt.methods.medsam.checkpoint import read_sam
    from oncoprompt.methods.medsam.models import is_slice_model, load_file
    from oncoprompt.methods.medsam.weights_file import Kind, read_weights
    from oncoprompt.methods.registry import list_models, load_model
    from oncoprompt.methods.weight_files import read_manifest

    own = read_manifest(weights).get("model")
    if own in [card.name for card in list_models()] and not is_slice_model(str(weights)):
        return {"kind": own, "told": f"'{weights.name}' is {own}.", "sha256": load_model(str(weights)).weights_sha256}
    kind = read_weights(weights).kind
    model = load_file(weights)
    is_sam = kind in (Kind.SAM_ORIGINAL, Kind.SAM_TRANSFORMERS)
    told = read_sam(weights).told if is_sam else f"'{weights.name}' is {kind}."
    return {"kind": str(kind), "told": told, "sha256": model.weights_sha256}


def converted(weights: Path, output: Path, layout: Layout) -> str:
    """Write the weights and return what they were; raises InputError for another ending or a file that is not ours."""
    from oncoprompt.methods.medsam.checkpoint import read_sam
    from oncoprompt.methods.medsam.sam_names import POSITIONAL, SECOND_COPY, to_original
    from oncoprompt.study.output import check_outputs

    if output.suffix not in (".safetensors", ".pth"):
        raise InputError(f"Weights are written as .safetensors or .pth; found '{output.name}'.")
    check_outputs([output], [weights])
    checkpoint = read_sam(weights)
    if checkpoint.text and layout is Layout.ORIGINAL:
        raise InputError(f"'{weights.name}' reads words, which segment_anything's layout has no names for.")
    state = dict(checkpoint.state) | {f"text.{name}": value for name, value in checkpoint.text.items()}
    if layout is Layout.ORIGINAL:
        state = {to_original(name): value for name, value in state.items()}
    else:
        state[SECOND_COPY] = state[POSITIONAL].clone()
    _write(output, state)
    return checkpoint.told


def _write(output: Path, state: dict[str, Tensor]) -> None:
    import io

    import torch
    from safetensors.torch import save

    from oncoprompt.study.output import write_output

    tensors = {name: value.contiguous() for name, value in state.items()}
    if output.suffix == ".safetensors":
        write_output(output, save(tensors, metadata={"format": "pt"}))
        return
    content = io.BytesIO()
    torch.save(tensors, content)
    write_output(output, content.getvalue())
