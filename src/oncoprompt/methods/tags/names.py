"""Names of the TAGS models."""

COMPACT = "tags-compact"
FAITHFUL = "tags-vit-b"
PLUS = "tags-vit-b-plus"
TAGS_MODELS = (COMPACT, FAITHFUL, PLUS)
