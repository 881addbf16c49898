"""Reading DICOM: a file, or a folder that holds one series. Nothing of a patient's identity is read."""

from oncoprompt.study.dicom.files import is_dicom
from oncoprompt.study.dicom.geometry import Sizes
from oncoprompt.study.dicom.image import DicomImage, read_dicom

__all__ = ["DicomImage", "Sizes", "is_dicom", "read_dicom"]
