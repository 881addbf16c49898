"""MSM-Seg behind the interface of all methods."""

from oncoprompt.methods.region_method import RegionMethod


class MSMSegMethod(RegionMethod):
    """MSM-Seg with weights, for studies of any spacing and orientation."""
