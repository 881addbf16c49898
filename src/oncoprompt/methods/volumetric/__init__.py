"""Plain volumetric networks of MONAI that take box and clicks as input channels: what MSM-Seg is compared with."""
