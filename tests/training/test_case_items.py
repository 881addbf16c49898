"""Items of labelled cases: what inference would see of them, whole-tumour boxes, changes that keep image and truth."""

import numpy as np
import pytest
import torch

from oncoprompt.geometry import Grid, mask_bounds
from oncoprompt.methods.msm_seg.method import MSMSegMethod
from oncoprompt.study import LabelMap, Study, schemas
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.fields import box_field, box_points, sample
from oncoprompt.training.augmentation import FIELD_SPACING_MM, Augmentation
from oncoprompt.training.case_items import CaseItems, CasePatient
from oncoprompt.training.items import ItemConfig
from training.cases import ball_case

SMALL = ItemConfig(least_voxels=32, least_voxels_unboxed=32, most_voxels=40)
PLAIN = ItemConfig(
    box_share=1.0,
    most_jitter=0.0,
    least_margin=0.2,
    most_margin=0.2,
    click_share=0.0,
    channel_dropout=0.0,
    shuffle_share=0.0,
    shift=0.0,
    scale=0.0,
    least_voxels=88,
    least_voxels_unboxed=88,
)


@pytest.fixture(scope="module")
def ball():
    return ball_case()


class _Looking(torch.nn.Module):
    """A network whose features are what it is shown."""

    def encode(self, images, roles):
        return images


def test_an_item_depends_on_seed_and_index_alone(ball):
    items = CaseItems([ball, ball_case("other", seed=1)], SMALL, seed=3)
    first, again = items.item(5), CaseItems(items.cases, SMALL, seed=3).item(5)
    for name in ("images", "regions", "box", "clicks"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert first.roles == again.roles
    other = items.item(6)
    assert other.images.shape != first.images.shape or not torch.equal(other.images, first.images)


# the second tumour is so large that the region is sampled coarser than the scan
@pytest.mark.parametrize("oedema", [(10, 50, -20, 20, -10, 30), (-60, 60, -60, 62, -40, 40)])
def test_an_item_without_changes_is_what_inference_sees_of_the_same_box(oedema):
    case = ball_case(parts={2: oedema, 1: (20, 40, -10, 10, 0, 20), 3: (20, 32, -10, 10, 0, 20)})
    item = CaseItems([case], PLAIN, augment=False).item(0)
    box = mask_bounds(case.labels.permute(2, 1, 0).numpy() > 0)
    method = MSMSegMethod(_Looking(), "looking", "0" * 64, torch.device("cpu"))
    seen = method.encode(case.study(), box).features[0]
    assert item.images.shape == seen.shape
    difference = (item.images - seen).abs()
    assert float(difference.mean()) < 0.01
    assert float(difference.flatten().kthvalue(int(0.99 * difference.numel())).values) < 0.15


def test_the_resection_cavity_is_outside_the_whole_tumour_and_outside_its_box(ball):
    with_cavity = ball_case(parts={4: (-50, 0, -20, 20, -10, 30)})
    drawn, plain = (CaseItems([case], PLAIN, augment=False).item(0) for case in (with_cavity, ball))
    assert torch.equal(drawn.regions, plain.regions)
    assert torch.equal(drawn.box, plain.box)
    assert 4 in CasePatient(with_cavity).label_map().unique()


def test_a_case_with_a_cavity_alone_has_no_tumour_and_no_box():
    nowhere = (200, 200, 0, 0, 0, 0)
    case = ball_case(parts={1: nowhere, 2: nowhere, 3: nowhere, 4: (10, 40, -20, 20, 0, 30)})
    item = CaseItems([case], SMALL, seed=1).item(0)
    assert not item.regions.any()
    assert not item.box.any()


def test_images_and_truth_undergo_the_same_changes(ball):
    items = CaseItems([ball], PLAIN, seed=2)
    for index in range(2):
        item = items.item(index)
        bright = item.images[0] > item.images[0][item.regions[2] == 0].quantile(0.999)
        overlap = 2 * (bright & (item.regions[2] > 0)).sum() / (bright.sum() + item.regions[2].sum())
        assert float(overlap) > 0.9
        whole, core, enhancing = item.regions
        assert bool((whole >= core).all() and (core >= enhancing).all())


def test_air_stays_zero_whatever_the_scanner_does(ball):
    points = box_points(8.0, torch.device("cpu"))
    for seed in range(2):
        change = Augmentation.random(np.random.default_rng(seed), 2)
        picture = CasePatient(ball, change).picture(points, (1.0, 1.0, 1.0))
        far = change.to_case(points).norm(dim=-1) > 72
        assert not picture.images[:, far].any()
        assert picture.images[:, picture.mask].all()


def test_changes_move_the_tumour_and_mirror_half_of_the_heads(ball):
    rng = np.random.default_rng(0)
    sides = []
    for _ in range(12):
        labels = CasePatient(ball, Augmentation.random(rng, 2)).label_map()
        sides.append(float(box_points(2.0, torch.device("cpu"))[labels > 0][:, 0].mean()))
    assert len(set(sides)) == 12
    assert 2 <= sum(side < 0 for side in sides) <= 10


def test_a_deformation_before_the_changes_is_the_two_maps_in_turn():
    generator = torch.Generator().manual_seed(1)
    displacement = box_field(60.0, FIELD_SPACING_MM, generator, 3) * 3.0
    change = Augmentation.random(np.random.default_rng(3), 2)
    points = box_points(8.0, torch.device("cpu"))[4:16, 5:19, 4:16] + 1.7
    posed = change.to_case(points)
    expected = posed + sample(displacement, posed).permute(1, 2, 3, 0)
    assert float((change.after(displacement).to_case(points) - expected).norm(dim=-1).max()) < 1.0
    assert float((change.after(displacement).to_case(points) - posed).norm(dim=-1).max()) > 2.0


def test_only_lesions_that_lie_apart_are_boxed_one_by_one(ball):
    assert not CasePatient(ball).scattered
    assert CasePatient(ball_case(parts={1: (-50, -36, -10, 10, 0, 20)})).scattered


@pytest.mark.parametrize("start", [(30, 31, 10), (31, 30, 11)])
def test_a_one_millimetre_scan_comes_into_the_head_box_without_being_interpolated(start):
    rng = np.random.default_rng(0)
    image = np.zeros((200, 200, 150), np.float32)
    inside = tuple(slice(first, first + 101) for first in start)
    image[inside] = rng.uniform(100, 200, (101, 101, 101))
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = [0.0, 239.0, 0.0]
    grid = Grid(image.shape, affine)
    label_map = LabelMap(np.zeros(image.shape, np.uint8), grid, schemas.get("brats2023"))
    case = LabelledCase.of_study(Study({"t1c": image}, grid), label_map)
    assert np.allclose(np.sort(case.images[case.images > 0].numpy()), np.sort(image[image > 0]), atol=1e-3)
