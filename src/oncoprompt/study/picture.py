"""Pictures (PNG, JPEG, BMP, TIFF) as channels one slice thick, and label maps as pictures."""

from __future__ import annotations

import io
import logging
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.study.channels import COLOURS, GREY

if TYPE_CHECKING:
    from oncoprompt.study.study import Study

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

_PNG, _TIFF = b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*")
_PNG_HEAD, _PNG_DEPTH, _PNG_COLOURED = 26, 24, (2, 4, 6)
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_RIGHT_WAY_UP = 1
_ORIENTATION_TAG = 0x0112
# Columns grow towards the patient's left and rows towards posterior: the axial slice of a picture is the picture.
_AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
_GREY_MODES = ("L", "I", "I;16", "I;16B", "I;16L", "F")
_WITH_ALPHA = {"LA": "L", "La": "L", "RGBA": "RGB", "RGBa": "RGB", "RGBX": "RGB"}
_CONVERTED = {"1": "L", "P": "RGB", "PA": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error)


def is_picture_file(path: Path) -> bool:
    """Whether a file's name ends as a picture's does."""
    return path.name.lower().endswith(ENDINGS)


def is_picture(study: Study) -> bool:
    """Whether a study is a picture, whose pixels have no size in millimetres."""
    named = set(study.channels) <= {GREY, *COLOURS}
    flat = study.grid.shape[2] == 1 and bool(np.array_equal(study.grid.affine, _AFFINE))
    return study.sizes == "none" or (named and flat)


def read_picture(path: Path) -> tuple[NDArray[np.generic], Grid, tuple[str, ...]]:
    """Pixels (width, height, 1), or (width, height, 1, 3) in colour, on a grid of 1 mm, and the channels' names.

    Values and type are the file's own (0 to 255, or 0 to 65535); transparency is dropped, and colours that are all grey
    are one channel. Pixels stay as stored: an orientation in the file is not followed, with a warning. Raises
    InputError for files that are damaged, of another format, of several pages, or larger than Pillow's limit.
    """
    values = _pixels(path)
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    grid = Grid((values.shape[1], values.shape[0], 1), _AFFINE)
    return values.swapaxes(0, 1)[:, :, None], grid, (GREY,) if values.ndim == 2 else COLOURS


def png_of(labels: NDArray[np.uint8]) -> bytes:
    """A PNG file of labels (height, width), eight bits grey."""
    with io.BytesIO() as content:
        Image.fromarray(labels).save(content, format="PNG")
        return content.getvalue()


def _pixels(path: Path) -> NDArray[np.generic]:
    """(height, width) or (height, width, 3)."""
    deep = _deep_colours(path)
    if deep is not None:
        return deep
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                _check(image, path)
                image.load()
                return _plain(image, path)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = Image.MAX_IMAGE_PIXELS
        raise InputError(f"'{path.name}' has more than the {limit} pixels that are read; crop it.") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"'{path.name}' is no picture that can be read. Give a PNG, JPEG, BMP or TIFF file."
        ) from error
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(f"'{path.name}' is damaged or truncated ({error}). Copy it again.") from error


def _deep_colours(path: Path) -> NDArray[np.generic] | None:
    """Pixels of a PNG or TIFF with 16 bits a colour, of which Pillow would give 8; None for any other picture.

    (height, width) or (height, width, 3), without transparency. Raises InputError for damage and too many pixels.
    """
    with path.open("rb") as stream:
        head = stream.read(_PNG_HEAD)
    try:
        if head.startswith(_PNG) and head[_PNG_DEPTH : _PNG_DEPTH + 1] == b"\x10" and head[-1] in _PNG_COLOURED:
            _check_pixels(int.from_bytes(head[16:20], "big") * int.from_bytes(head[20:24], "big"), path)
            return _deep_png(path)
        if head.startswith(_TIFF):
            return _deep_tiff(path)
    except InputError:
        raise
    # the readers have errors of their own for each kind of damage
    except Exception as error:
        raise InputError(f"'{path.name}' is damaged or truncated ({error}). Copy it again.") from error
    return None


def _deep_png(path: Path) -> NDArray[np.generic]:
    import png  # seldom needed

    width, height, rows, facts = png.Reader(filename=str(path)).read()
    values = np.array([np.asarray(row, dtype=np.uint16) for row in rows]).reshape(height, width, facts["planes"])
    return values[..., 0] if values.shape[2] < 3 else values[..., :3]


def _deep_tiff(path: Path) -> NDArray[np.generic] | None:
    import tifffile  # seldom needed

    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        shape, depth = page.shape, page.dtype
        if depth is None or depth.itemsize < 2 or len(shape) != 3 or page.samplesperpixel < 2:
            return None
        if len(file.pages) > 1:
            raise InputError(
                f"'{path.name}' holds {len(file.pages)} pictures; give one picture a file, or a volume as NIfTI."
            )
        _check_pixels(page.imagewidth * page.imagelength, path)
        values = page.asarray()
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        values = np.moveaxis(values, 0, -1)
    return values[..., 0] if values.shape[2] < 3 else values[..., :3]


def _check_pixels(count: int, path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and count > limit:
        raise InputError(f"'{path.name}' has more than the {limit} pixels that are read; crop it.")


def _check(image: Image.Image, path: Path) -> None:
    pages = getattr(image, "n_frames", 1)
    if pages > 1:
        raise InputError(f"'{path.name}' holds {pages} pictures; give one picture a file, or a volume as NIfTI.")
    if image.getexif().get(_ORIENTATION_TAG, _RIGHT_WAY_UP) != _RIGHT_WAY_UP:
        logging.getLogger(__name__).warning(
            "'%s' asks to be shown turned (EXIF orientation). It is taken as stored: boxes and masks are in its stored "
            "pixels.",
            path.name,
        )


def _plain(image: Image.Image, path: Path) -> NDArray[np.generic]:
    mode = _WITH_ALPHA.get(image.mode) or _CONVERTED.get(image.mode) or image.mode
    if mode not in (*_GREY_MODES, "RGB"):
        raise InputError(f"'{path.name}' has pixels of kind {image.mode}; save it in grey or RGB.")
    if image.mode in _WITH_ALPHA:
        # A conversion would blend; the colours under the transparency are what was recorded.
        stored = np.asarray(image)
        return stored[..., 0] if mode == "L" else stored[..., :3]
    return np.asarray(image if mode == image.mode else image.convert(mode))
