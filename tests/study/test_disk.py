"""Places that cannot be written to are refused before anything is computed."""

import os
from pathlib import Path

import pytest

from oncoprompt.errors import InputError
from oncoprompt.study.disk import check_room


def test_a_disk_without_room_is_told_with_what_is_needed_and_what_is_free(tmp_path: Path) -> None:
    check_room(tmp_path / "still" / "to" / "be" / "made", 1000)
    with pytest.raises(InputError, match=r"No space left on the disk for '.*made': about 1000000000000 MB are needed"):
        check_room(tmp_path / "still" / "to" / "be" / "made", 10**18)


def test_a_name_that_is_too_long_until_the_file_is_whole_is_told(tmp_path: Path) -> None:
    check_room(tmp_path / ("ä" * 100), 0)
    with pytest.raises(InputError, match="its name is too long"):
        check_room(tmp_path / ("ä" * 120), 0)


def test_a_folder_that_is_read_only_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write into every folder")
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="is read-only for this user"):
        check_room(tmp_path / "x.nii.gz", 0)
