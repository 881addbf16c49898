"""TAGS (arXiv 2505.17096): SAM made three-dimensional, prompted by words, clicks, a box and an anatomy mask."""
