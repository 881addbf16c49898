"""Tumour families: gliomas by growth, the others by shape, each with its compartments."""

from oncoprompt.synthesis.fields import box_shape
from oncoprompt.synthesis.lesion import Lesion, no_lesion
from oncoprompt.synthesis.tumours.glioma import high_grade_glioma, low_grade_glioma
from oncoprompt.synthesis.tumours.meningioma import meningioma
from oncoprompt.synthesis.tumours.metastases import metastases
from oncoprompt.synthesis.tumours.site import SITE_SPACING_MM, Site
from oncoprompt.synthesis.tumours.treated import treated_glioma

__all__ = ["Site", "build_lesion"]

_BUILDERS = {
    "high-grade glioma": high_grade_glioma,
    "low-grade glioma": low_grade_glioma,
    "metastases": metastases,
    "meningioma": meningioma,
    "post-treatment glioma": treated_glioma,
}


def build_lesion(family: str, site: Site) -> Lesion:
    """A random lesion of a family (see lesion.FAMILIES) at a site; a healthy one has none."""
    if family not in _BUILDERS:
        return no_lesion(box_shape(SITE_SPACING_MM), site.depth_mm.device)
    return _BUILDERS[family](site)
