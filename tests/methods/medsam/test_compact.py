"""MedSAM compact: what it answers lies on the slice it was asked about, and only in the frame of the box."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.medsam.compact import CompactConfig, CompactNetwork
from oncoprompt.methods.medsam.compact_model import CompactModel, load_compact
from oncoprompt.methods.medsam.frame import FAR_BELOW, Frame, prompt_maps
from oncoprompt.methods.medsam.slice_model import SlicePrompt

SMALL = CompactConfig(widths=(8, 8, 16), frame=32)


@pytest.fixture
def model() -> CompactModel:
    torch.manual_seed(0)
    return CompactModel(CompactNetwork(SMALL).eval(), "medsam-compact", "0" * 64, torch.device("cpu"))


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x0, y0 = draw(st.integers(-5, 60)), draw(st.integers(-5, 40))
    return x0, y0, max(x0, 0) + draw(st.integers(1, 50)), max(y0, 0) + draw(st.integers(1, 50))


@settings(max_examples=60)
@given(boxes())
def test_what_is_cut_and_pasted_back_is_where_it_was(box):
    y, x = np.mgrid[:48, :64].astype(np.float32)
    frame = Frame.around(box, 64)
    back = frame.paste(frame.cut(torch.from_numpy(np.stack([x, y])))[0], (48, 64)).numpy()
    inside = back != FAR_BELOW
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    assert rows[0] == max(0, frame.y0)
    assert rows[-1] == min(48, frame.y1) - 1
    assert columns[0] == max(0, frame.x0)
    assert columns[-1] == min(64, frame.x1) - 1
    step = 2 + max(frame.x1 - frame.x0, frame.y1 - frame.y0) // 32
    clear = (x >= frame.x0 + step) & (x < frame.x1 - step) & (y >= frame.y0 + step) & (y < frame.y1 - step)
    clear &= (x >= step) & (x < 64 - step) & (y >= step) & (y < 48 - step)
    assert np.abs(back - x)[clear].max(initial=0) < 0.6


@settings(max_examples=60)
@given(boxes())
def test_the_frame_holds_the_box_with_its_margin_and_the_map_has_its_area(box):
    frame = Frame.around(box, 128)
    x0, y0, x1, y1 = box
    assert frame.x0 <= x0 - 0.3 * (x1 - x0)
    assert frame.y1 >= y1 + 0.3 * (y1 - y0)
    share = (x1 - x0) * (y1 - y0) / ((frame.x1 - frame.x0) * (frame.y1 - frame.y0))
    assert float(prompt_maps(SlicePrompt(box=box), frame)[0].mean()) == pytest.approx(share, rel=1e-3)


def test_points_lie_on_the_pixel_they_were_put_on():
    frame = Frame(10, 20, 42, 52, 32)
    prompt = SlicePrompt(points=np.array([[15.0, 30.0], [40.0, 21.0]]), positive=np.array([True, False]))
    maps = prompt_maps(prompt, frame)
    assert np.unravel_index(int(maps[1].argmax()), (32, 32)) == (10, 5)
    assert np.unravel_index(int(maps[2].argmax()), (32, 32)) == (1, 30)


def test_several_boxes_are_answered_as_each_alone_and_nothing_is_found_outside_the_frame(model):
    image = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    prompts = [SlicePrompt(box=(5, 6, 20, 30)), SlicePrompt(box=(30, 2, 48, 20))]
    features = model.encode(image)
    both = model.decode(features, prompts)
    assert both.shape == (2, 40, 50)
    for answer, prompt in zip(both, prompts, strict=True):
        assert np.allclose(model.decode(features, [prompt])[0], answer, atol=1e-5)
    assert (both[0][:, 30:] == FAR_BELOW).all()
    assert model.decode(features, []).shape == (0, 40, 50)


def test_brightness_and_contrast_of_the_slice_change_nothing(model):
    image = np.random.default_rng(1).normal(size=(40, 50)).astype(np.float32)
    prompt = [SlicePrompt(box=(5, 6, 20, 30))]
    first = model.decode(model.encode(image), prompt)
    assert np.allclose(first, model.decode(model.encode(image * 700 - 30), prompt), atol=1e-3)
    constant = model.decode(model.encode(np.full((40, 50), 3.0, np.float32)), prompt)
    assert np.isfinite(constant).all()


def test_grey_slices_are_colour_slices_of_three_equal_planes(model):
    image = np.random.default_rng(2).normal(size=(40, 50)).astype(np.float32)
    prompt = [SlicePrompt(box=(5, 6, 20, 30))]
    colour = np.repeat(image[..., None], 3, axis=2)
    assert np.array_equal(model.decode(model.encode(image), prompt), model.decode(model.encode(colour), prompt))


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        (SlicePrompt(points=np.array([[3.0, 3.0]]), positive=np.array([True])), "needs a box around each target"),
        (SlicePrompt(box=(1, 1, 9, 9), words="liver"), "Found words; leave them out"),
    ],
)
def test_prompts_it_cannot_read_are_refused(model, prompt, told):
    with pytest.raises(InputError, match=told):
        model.decode(model.encode(np.zeros((20, 20), np.float32)), [prompt])


def test_a_slice_of_another_shape_is_refused(model):
    with pytest.raises(InputError, match=r"A slice is \[H, W\] or \[H, W, 3\]; found shape"):
        model.encode(np.zeros((20, 20, 2), np.float32))


def test_weights_are_read_with_their_manifest_and_damaged_ones_refused(tmp_path: Path, model: CompactModel):
    path = tmp_path / "medsam-compact.safetensors"
    save_file(model.network.state_dict(), path)
    manifest = {"model": "medsam-compact", "recipe": {"model": {"options": {"widths": [8, 8, 16], "frame": 32}}}}
    path.with_suffix(".json").write_text(json.dumps(manifest))
    loaded = load_compact(path)
    image = np.random.default_rng(3).normal(size=(30, 30)).astype(np.float32)
    prompt = [SlicePrompt(box=(5, 6, 20, 20))]
    assert np.array_equal(loaded.decode(loaded.encode(image), prompt), model.decode(model.encode(image), prompt))
    path.with_suffix(".json").write_text(json.dumps(manifest | {"sha256": "1" * 64}))
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        load_compact(path)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(WeightsError, match="do not fit medsam-compact"):
        load_compact(path)


@pytest.mark.parametrize("options", [{"widths": (12, 16)}, {"widths": (8, 16, 24), "frame": 30}])
def test_sizes_that_do_not_fit_are_refused(options):
    with pytest.raises(InputError, match="multiples of"):
        CompactConfig(**options)
