"""Output directories: numbered, refused, replaced, and removed if empty."""

from pathlib import Path

import pytest

from tests.tools import each
from tinygrad_np.cli.folders import output_folder, run_folder
from tinygrad_np.errors import ArgumentError, DataError


def test_default_folders_are_numbered(tmp_path):
    (tmp_path / "net-3").write_text("a file is not replaced either")
    names = [output_folder(None, tmp_path / "net").name for _ in range(3)]
    assert names == ["net", "net-2", "net-4"]


@each("name", ["config.json", "metrics.json", "steps.csv", "step_000500.safetensors"])
def test_a_folder_with_a_run_is_refused(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "notes.txt").touch()
    assert output_folder(folder, Path("unused")) == folder
    (folder / name).touch()
    for owner in (output_folder, lambda *given: run_folder(*given, overwrite=False).__enter__()):
        with pytest.raises(
            ArgumentError, match=f"an earlier run, got {folder}, which holds {name}"
        ):
            owner(folder, Path("unused"))
    with run_folder(folder, Path("unused"), overwrite=True) as given:
        assert given == folder
    with run_folder(None, folder, overwrite=True) as given:
        assert given == folder
    assert (folder / name).exists()


def test_an_empty_folder_is_removed_if_it_is_new(tmp_path):
    made = []
    for given, overwrite in [(None, False), (None, True), (tmp_path / "a", False)]:
        with run_folder(given, tmp_path / "net", overwrite=overwrite) as folder:
            made.append(folder)
            assert folder.is_dir()
        assert not folder.exists()
    assert made == [tmp_path / "net", tmp_path / "net", tmp_path / "a"]
    old = tmp_path / "old"
    old.mkdir()
    with run_folder(old, Path("unused"), overwrite=False):
        pass
    assert old.is_dir()
    with run_folder(None, tmp_path / "net", overwrite=False) as folder:
        (folder / "config.json").touch()
    assert folder.is_dir()


def test_a_file_in_place_of_the_parent_raises(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(DataError, match="--out: cannot create or write to the directory"):
        output_folder(None, tmp_path / "runs" / "net")
