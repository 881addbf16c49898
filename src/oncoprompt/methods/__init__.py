"""Published segmentation methods, one sub-package each."""
