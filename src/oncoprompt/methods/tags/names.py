"""Names of the models on TAGS' ideas."""

COMPACT = "tags-compact"
FAITHFUL = "tags-vit-b"
PLUS = "tags-vit-b-plus"
DEFAULT = "oncoprompt-compact"
DEFAULT_SYNTHETIC = "oncoprompt-compact-synthetic"
COMPACT_MODELS = (COMPACT, DEFAULT, DEFAULT_SYNTHETIC)
"""Models with the network of `CompactTags`."""
TAGS_MODELS = (*COMPACT_MODELS, FAITHFUL, PLUS)
