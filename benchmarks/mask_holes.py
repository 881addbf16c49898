"""How much of expert whole tumours and cores is holes in axial slices, as a share of their volume.

python benchmarks/mask_holes.py [--data DIR]
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_fill_holes

from oncoprompt.study import read_label_map

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "expert_masks"


def hole_share(mask: np.ndarray, axis: int) -> float:
    """Voxels in holes of the planes across an axis over voxels of the mask."""
    planes = np.moveaxis(mask, axis, 0)
    return sum(int(np.count_nonzero(binary_fill_holes(plane) & ~plane)) for plane in planes) / int(mask.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    files = sorted(options.data.rglob("*.nii.gz"))
    if not files:
        raise SystemExit(f"The expert masks are missing: {options.data}.")
    shares: dict[str, list[float]] = {"WT": [], "TC": []}
    for file in files:
        label_map = read_label_map(file, schema="brats2021")
        axis = int(np.argmax(np.abs(label_map.grid.affine[2, :3])))
        masks = label_map.region_masks()
        for region, found in shares.items():
            if masks[region].any():
                found.append(hole_share(masks[region], axis))
    print("| region | label maps | mean | median | largest |\n|---|---|---|---|---|")
    for region, found in shares.items():
        print(f"| {region} | {len(found)} | {np.mean(found):.4f} | {np.median(found):.4f} | {np.max(found):.4f} |")


if __name__ == "__main__":
    main()
