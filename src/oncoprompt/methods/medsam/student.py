"""A small SAM that learns from a large one: its own narrow image encoder, the teacher's prompt encoder and decoder."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import SamConfig, SamModel, SamVisionConfig

from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.sam_network import build_sam


@dataclass(frozen=True)
class StudentConfig:
    """The image encoder: a vision transformer of so many layers, those of ``global_layers`` without windows.

    With the defaults it has 5 million parameters and gives MedSAM's embedding of 64 x 64 from 256 pixels.
    """

    width: int = 192
    depth: int = 8
    heads: int = 6
    image_size: int = 256
    patch_size: int = 4
    window_size: int = 8
    global_layers: tuple[int, ...] = (7,)

    def __post_init__(self) -> None:
        """Check that sizes fit each other; raises InputError."""
        if min(self.width, self.depth, self.heads, self.patch_size, self.window_size) < 1 or self.width % self.heads:
            raise InputError(f"A student needs a width in multiples of its heads; found {self.width} and {self.heads}.")
        if self.image_size < self.patch_size or self.image_size % self.patch_size:
            raise InputError(
                f"A student needs an image in multiples of its patch; found {self.image_size} and {self.patch_size}."
            )

    @property
    def grid(self) -> int:
        """Side of the embedding."""
        return self.image_size // self.patch_size


def image_side(network: SamModel) -> int:
    """Pixels of a SAM network's square image."""
    return int(network.config.to_dict()["vision_config"]["image_size"])


def student_of(teacher: SamModel, config: StudentConfig) -> SamModel:
    """A student whose encoder is drawn from torch's generator and whose other parts are copies of the teacher's.

    Raises InputError where their embeddings differ in size.
    """
    parts = teacher.config.to_dict()
    seen = parts["vision_config"]
    grid = seen["image_size"] // seen["patch_size"]
    if config.grid != grid:
        raise InputError(
            f"The student's embedding is {config.grid} pixels wide, the teacher's {grid}. Change image_size or "
            "patch_size of the student."
        )
    vision = SamVisionConfig(
        hidden_size=config.width,
        output_channels=seen["output_channels"],
        num_hidden_layers=config.depth,
        num_attention_heads=config.heads,
        image_size=config.image_size,
        patch_size=config.patch_size,
        window_size=config.window_size,
        global_attn_indexes=list(config.global_layers),
        num_pos_feats=seen["num_pos_feats"],
        # transformers' own is for networks that are filled from a file
        initializer_range=0.02,
    )
    prompts = {**parts["prompt_encoder_config"], "image_size": config.image_size, "patch_size": config.patch_size}
    prompts.pop("image_embedding_size", None)
    student = build_sam(
        SamConfig(
            vision_config=vision.to_dict(),
            prompt_encoder_config=prompts,
            mask_decoder_config=parts["mask_decoder_config"],
        )
    )
    taught = {name: value for name, value in teacher.state_dict().items() if not name.startswith("vision_encoder.")}
    student.load_state_dict({**student.state_dict(), **taught})
    return student
