"""Names of the slice models that can be trained."""

STUDENT = "medsam-small"
"""A student of MedSAM."""

SLICE_MODELS = ("medsam-compact", "medsam-vit-b", STUDENT)
