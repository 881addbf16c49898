"""Anatomies: atlases are probabilities that match what they were made from, and people are warps that do not fold."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from oncoprompt.errors import InputError
from oncoprompt.study import Study
from oncoprompt.synthesis.anatomy import MAP_SPACING_MM, Anatomy, random_anatomy
from oncoprompt.synthesis.atlas import HEAD_DENSITY, HEAD_T1, HEAD_T2, HEAD_TISSUES, TISSUES, Atlas, icbm152
from oncoprompt.synthesis.atlases import load_atlases
from oncoprompt.synthesis.case import as_volume, head_grid
from oncoprompt.synthesis.fields import box_points, jacobian_determinant
from oncoprompt.synthesis.label_atlas import label_atlas, read_labels
from oncoprompt.synthesis.scan_atlas import atlas_of_scan

CPU = torch.device("cpu")
GRID = box_points(MAP_SPACING_MM, CPU)
TOY_MM = 2.0


def person(seed: int, atlas: Atlas | None = None) -> Anatomy:
    return random_anatomy(np.random.default_rng(seed), torch.Generator().manual_seed(seed), atlas)


def toy_head() -> NDArray[np.int16]:
    """A head of nested ellipsoids, (I, J, K) in R A S at 2 mm: skin, scalp, bone, fluid, cortex, white, ventricle.

    Voxel 58.5 is the middle along R, 59.5 along A and S; a fissure of 6 mm is between the hemispheres.
    """
    r, a, s = np.meshgrid(*(np.arange(120) - middle for middle in (58.5, 59.5, 59.5)), indexing="ij")

    def within(radius_mm: float) -> NDArray[np.bool_]:
        return (r / 0.85) ** 2 + a**2 + (s / 0.9) ** 2 < (radius_mm / TOY_MM) ** 2

    labels = np.zeros(r.shape, np.int16)
    for radius, value in ((100, 511), (96, 507), (86, 515), (80, 24), (76, 3), (70, 2), (20, 4)):
        labels[within(radius)] = value
    right = {3: 42, 2: 41, 4: 43}
    for value, other in right.items():
        labels[(labels == value) & (r > 0)] = other
    labels[(np.abs(r) < 1.6) & (s > 0) & np.isin(labels, (2, 3, 41, 42))] = 24
    return labels


def write_labels(file: Path, labels: NDArray[np.generic], codes: str = "RAS") -> Path:
    """Write labels given in R A S with the array's axes stored in another order."""
    image = nib.Nifti1Image(labels, np.diag([TOY_MM, TOY_MM, TOY_MM, 1.0]))
    turned = image.as_reoriented(nib.orientations.ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes)))
    nib.save(turned, file)
    return file


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    return label_atlas(write_labels(tmp_path_factory.mktemp("toy") / "toy_head.nii.gz", toy_head()), CPU)


def millilitres(atlas: Atlas) -> dict[str, float]:
    place = atlas.at(box_points(2.0, CPU))
    names = (*TISSUES, *HEAD_TISSUES)[: len(place.tissues)]
    return dict(zip(names, (place.tissues.sum((1, 2, 3)) * 0.008).tolist(), strict=True))


def test_icbm152_has_the_volumes_of_its_maps() -> None:
    volumes = millilitres(icbm152(CPU))
    assert list(volumes) == list(TISSUES)
    assert volumes["cortical grey"] + volumes["deep grey"] == pytest.approx(1008, rel=0.03)
    assert volumes["white"] == pytest.approx(670, rel=0.03)
    assert volumes["csf"] == pytest.approx(216, rel=0.05)
    assert 50 < volumes["deep grey"] < 250
    assert 10 < float(icbm152(CPU).at(GRID).ventricle.sum()) * 0.064 < 60


def test_the_falx_of_icbm152_is_a_sheet_between_the_hemispheres_above_the_callosum() -> None:
    points = torch.tensor([[0.5, 0, 60.0], [0.5, -60, 30], [0.5, 0, -20], [30.5, 0, 40]])
    over, behind, brain_stem, aside = icbm152(CPU).at(points).falx_mm.tolist()
    assert over < 2
    assert behind < 2
    assert brain_stem > 25
    assert aside == pytest.approx(29, abs=1.5)


@pytest.mark.parametrize("which", ["icbm152", "toy"])
def test_shares_are_probabilities_and_depth_tells_brain_from_the_rest(which: str, toy: Atlas) -> None:
    place = person(2, toy if which == "toy" else None).place(GRID)
    assert float(place.tissues.min()) >= 0
    assert float(place.tissues.sum(0).max()) <= 1 + 1e-4
    inside = place.depth_mm > 3
    assert float(place.tissues[:4].sum(0)[inside].min()) > 0.98
    assert float(place.tissues[:3].sum(0)[place.depth_mm < -3].max()) < 0.02
    assert float(place.ventricle.min()) >= 0
    assert float((place.ventricle - place.tissues[3]).max()) < 1e-4


def test_beyond_the_box_there_is_air(toy: Atlas) -> None:
    place = toy.at(torch.tensor([[0.0, 0.0, -200.0], [300.0, 0.0, 0.0], [0.0, 97.0, 0.0]]))
    assert float(place.tissues.abs().max()) == 0
    assert float(place.depth_mm.max()) < 0


def test_points_may_come_in_any_shape(toy: Atlas) -> None:
    anatomy = person(1, toy)
    points = GRID[10:20, 10:30, 5:25]
    block, row, column = (anatomy.place(points.reshape(shape)) for shape in ((10, 20, 20, 3), (-1, 3), (1, 1, -1, 3)))
    assert block.tissues.shape == (9, 10, 20, 20)
    assert torch.equal(block.tissues.flatten(1), row.tissues)
    assert torch.equal(block.depth_mm.flatten(), column.depth_mm.flatten())
    assert torch.equal(anatomy.place(points, head=False).tissues, block.tissues[:4])


@pytest.mark.parametrize("seeds", [range(20), range(1000, 1020)])
def test_no_person_folds(seeds: range) -> None:
    flipped = 0
    for seed in seeds:
        determinant = jacobian_determinant(person(seed).atlas_points.permute(1, 2, 3, 0), MAP_SPACING_MM)
        flipped += int(determinant.mean() < 0)
        assert float((determinant * determinant.mean().sign()).min()) > 0.05
    assert 4 <= flipped <= 16


def test_one_seed_gives_one_person_and_another_another() -> None:
    one, two, other = (person(seed).atlas_points for seed in (5, 5, 6))
    assert torch.equal(one, two)
    assert not torch.allclose(one, other)


def test_people_of_one_atlas_differ_in_the_size_of_their_ventricles() -> None:
    volumes = [float(person(seed).place(GRID).ventricle.sum()) * 0.064 for seed in range(8)]
    assert max(volumes) > 1.3 * min(volumes)


def test_tissue_moves_with_a_displacement() -> None:
    atlas = icbm152(CPU)
    still = Anatomy(atlas, GRID.permute(3, 0, 1, 2))
    moved = still.displaced(torch.tensor([0.0, 0.0, 8.0]).view(3, 1, 1, 1).expand(3, *GRID.shape[:3]))
    inner = GRID[6:-6, 4:-4, 4:-4]
    shifted = moved.tissue(inner)[0]
    before = still.tissue(inner - torch.tensor([0.0, 0.0, 8.0]))[0]
    assert torch.allclose(shifted, before, atol=1e-3)


def test_a_label_map_gives_the_volumes_of_its_labels(toy: Atlas) -> None:
    volumes, labels = millilitres(toy), toy_head()
    for name, values in (("cortical grey", (3, 42)), ("white", (2, 41)), ("csf", (24, 4, 43))):
        assert volumes[name] == pytest.approx(float(np.isin(labels, values).sum()) * 0.008, rel=0.03)
    assert float(toy.at(GRID).ventricle.sum()) * 0.064 == pytest.approx(np.isin(labels, (4, 43)).sum() * 0.008, rel=0.1)
    assert volumes["deep grey"] == 0
    assert volumes["bone"] > 100
    assert volumes["fat"] > 100


def test_the_brain_of_a_label_map_lies_inside_its_skull_and_holds_its_fissures(toy: Atlas) -> None:
    assert toy.name == "toy_head"
    assert toy.has_head
    assert not icbm152(CPU).has_head
    forward = torch.tensor([0.0, 40, 60, 68, 84, 88])
    beside, between = (
        toy.at(torch.stack([torch.full((6,), x), forward, torch.full((6,), 10.0)], 1)) for x in (20.0, 0.0)
    )
    assert (beside.depth_mm > 0).tolist() == [True, True, True, True, False, False]
    assert beside.falx_mm[2:4].tolist() == pytest.approx([20, 20], abs=2)
    assert (between.depth_mm[1:3] > 5).all()
    assert float(between.falx_mm[3]) < 1.5
    assert toy.ventricle_centre_mm.tolist() == pytest.approx([0, 0, 0], abs=1.0)


@pytest.mark.parametrize("codes", ["LIA", "PSR", "SLA"])
def test_labels_are_the_same_in_every_axis_order(codes: str, tmp_path: Path) -> None:
    labels = toy_head()
    labels[20:40, 60:64, 60:64][labels[20:40, 60:64, 60:64] == 2] = 10
    plain, turned = (read_labels(write_labels(tmp_path / f"{name}.nii.gz", labels, name)) for name in ("RAS", codes))
    assert np.array_equal(plain, turned)
    # the left thalamus is at the low end of the R axis, the last of the array
    assert np.argwhere(plain == 10)[:, 2].max() < 80


def test_real_label_maps_give_the_volumes_of_their_labels(real_data: Path) -> None:
    atlases = load_atlases(real_data / "label_maps")
    assert len(atlases) == 20
    assert atlases.names[3] == "training_seg_04"
    atlas = atlases["training_seg_01"]
    values = np.asarray(nib.load(real_data / "label_maps" / "training_seg_01.nii.gz").dataobj)
    volumes = millilitres(atlas)
    cerebellum = float(np.isin(values, (8, 47)).sum()) / 1000
    cortex = float(np.isin(values, (3, 42, 17, 18, 53, 54)).sum()) / 1000
    assert volumes["cortical grey"] == pytest.approx(cortex + 0.8 * cerebellum, rel=0.03)
    assert float(atlas.at(GRID).ventricle.sum()) * 0.064 == pytest.approx(
        np.isin(values, (4, 5, 14, 15, 43, 44, 72, 136, 137, 163, 164)).sum() / 1000, rel=0.1
    )
    assert 1200 < float((atlas.at(GRID).depth_mm > 0).sum()) * 0.064 < 1600


def test_without_a_folder_there_is_the_bundled_brain() -> None:
    atlases = load_atlases(None)
    assert atlases.names == ("icbm152",)
    assert atlases.random(np.random.default_rng(0)) is icbm152(CPU)
    with pytest.raises(InputError, match=r"no anatomy 'colin27'.*icbm152"):
        atlases["colin27"]


def test_folders_that_hold_no_label_maps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_atlases(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no scans here")
    with pytest.raises(InputError, match="holds no label maps"):
        load_atlases(tmp_path)
    labels = toy_head()
    write_labels(tmp_path / "scan.nii.gz", gaussian_filter(labels.astype(np.float32), 1.0))
    with pytest.raises(InputError, match=r"'scan\.nii\.gz' holds intensities, not labels"):
        load_atlases(tmp_path)


@pytest.mark.parametrize("value", [999, 9, -3, 20000])
def test_unknown_labels_are_named(value: int, tmp_path: Path) -> None:
    labels = toy_head()
    labels[60, 60, 60] = value
    with pytest.raises(InputError, match=rf"labels that FreeSurfer.*\D{value}\b"):
        read_labels(write_labels(tmp_path / "odd.nii.gz", labels))


def test_labels_without_a_brain_are_refused(tmp_path: Path) -> None:
    labels = np.where(toy_head() > 500, 515, 0).astype(np.int16)
    with pytest.raises(InputError, match="no cerebral white matter"):
        read_labels(write_labels(tmp_path / "skull.nii.gz", labels))


def test_a_healthy_scan_gives_back_the_tissues_it_shows() -> None:
    truth = person(3)
    points = box_points(1.0, CPU)
    place = truth.place(points, head=False)
    grey, white, csf = place.tissues[0] + place.tissues[1], place.tissues[2], place.tissues[3]
    noise = torch.randn(grey.shape, generator=torch.Generator().manual_seed(0))
    gain = 1 + 0.15 * points[..., 1] / 96
    image = ((60 * grey + 100 * white + 20 * csf) * gain + 4 * noise).clamp_min(1.0) * (place.depth_mm > 0)
    atlas = atlas_of_scan(Study({"t1n": as_volume(image)}, head_grid(), name="volunteer"), CPU)
    assert atlas.name == "volunteer"
    # the scan is centred on its brain, the person need not be
    brain = place.depth_mm > 0
    extents = [points[brain][:, axis] for axis in range(3)]
    centre = torch.stack([(extent.min() + extent.max()) / 2 for extent in extents])
    found = atlas.at(points[::3, ::3, ::3] - centre).tissues
    wanted = (grey, white, csf)
    for ours, theirs in zip((found[0] + found[1], found[2], found[3]), wanted, strict=True):
        inside = brain[::3, ::3, ::3]
        pair = torch.stack([ours[inside], theirs[::3, ::3, ::3][inside]])
        assert float(torch.corrcoef(pair)[0, 1]) > 0.75


def test_a_scan_that_is_not_stripped_is_refused() -> None:
    image = np.ones((160, 192, 160), np.float32)
    image[80:] = 2.0
    with pytest.raises(InputError, match="Strip the skull"):
        atlas_of_scan(Study({"t1n": image}, head_grid()), CPU)


def test_every_tissue_of_the_head_has_its_relaxation_times() -> None:
    assert len(HEAD_DENSITY) == len(HEAD_TISSUES)
    for table in (HEAD_T1, HEAD_T2):
        assert [len(table[field]) for field in (1.5, 3.0)] == [len(HEAD_TISSUES)] * 2
        assert table[3.0][HEAD_TISSUES.index("fat")] < 0.5
