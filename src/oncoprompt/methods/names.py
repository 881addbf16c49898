"""Names of all models and what they read, known without torch, so that a wrong request is refused at once."""

from oncoprompt.methods.tags.names import TAGS_MODELS

BOXED = (
    "msm-seg-compact",
    "msm-seg-hiera-tiny",
    "msm-seg-hiera-small",
    "msm-seg-hiera-base-plus",
    "msm-seg-hiera-large",
    "dynunet",
    "segresnet",
)
"""Models of whole studies that read boxes and clicks alone; those of TAGS read words and anatomy masks as well."""

SLICE_MODELS = (
    "medsam-compact",
    "medsam-vit-b",
    "sam-vit-b",
    "sam-vit-l",
    "sam-vit-h",
    "medsam2-tiny",
    "sam2.1-hiera-tiny",
    "sam2.1-hiera-small",
    "sam2.1-hiera-base-plus",
    "sam2.1-hiera-large",
)
"""Models of slices, which read no anatomy mask."""

MODELS = (*BOXED, *TAGS_MODELS, *SLICE_MODELS)

WEIGHTS_ENDINGS = (".safetensors", ".pth", ".pt", ".bin")
"""How files of weights end, which may be named instead of a model."""
