"""Stored models: whole or not there, and never believed unchecked."""

import json

import numpy as np
import pandas as pd
import pytest

from quasimusic.exceptions import ArtefactBroken
from recommender.engines import artefacts
from recommender.engines.artefacts import load, save
from recommender.engines.relevance import Relevance
from recommender.engines.tables import Tables
from recommender.engines.user_based import UserBased


@pytest.fixture
def fitted(planted):
    return UserBased.fit(planted, {"n_neighbours": 9}, rng=np.random.default_rng(0))


@pytest.fixture
def folder(tmp_path, fitted):
    save(tmp_path / "runs" / "user_based", fitted)
    return tmp_path / "runs" / "user_based"


def altered(folder, **values):
    manifest = json.loads((folder / "manifest.json").read_text()) | values
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_the_manifest_says_what_is_there(folder, fitted):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["format"], manifest["engine"], manifest["params"]) == (
        artefacts.FORMAT,
        "user_based",
        fitted.params,
    )
    assert manifest["arrays"]["weights"] == {"shape": [len(fitted.state["weights"])], "dtype": "<f8"}
    assert {path.name for path in folder.iterdir()} == {"arrays.npz", "manifest.json"}


def test_text_ids_and_lists_survive(tmp_path):
    songs = pd.DataFrame({"song_id": ["a", "bcd"], "popularity": [1, 2], "energy": [0.1, 0.2]})
    history = pd.DataFrame({"user_id": ["ann", "bob"], "song_id": ["a", "bcd"], "repetition": [1, 2]})
    tables = Tables.from_frames(songs=songs, history=history)
    for engine in (UserBased, Relevance):
        params = {"columns": ("energy", "popularity")} if engine is Relevance else {}
        fitted = engine.fit(tables, params, rng=np.random.default_rng(0))
        save(tmp_path / engine.name, fitted)
        loaded = load(tmp_path / engine.name, tables)
        assert loaded.params == fitted.params
        assert np.array_equal(loaded.score("ann", ["a", "bcd"]), fitted.score("ann", ["a", "bcd"]), equal_nan=True)


def test_numbers_of_numpy_are_stored_as_numbers(tmp_path, planted):
    fitted = UserBased.fit(planted, {"n_neighbours": np.int64(4)}, rng=np.random.default_rng(0))
    save(tmp_path / "model", fitted)
    assert load(tmp_path / "model", planted).params["n_neighbours"] == 4


def test_objects_that_are_no_text_are_not_stored(tmp_path, fitted):
    fitted.state = {**fitted.state, "odd": np.array([object()])}
    with pytest.raises(TypeError, match="odd holds objects other than text"):
        save(tmp_path / "model", fitted)
    assert list(tmp_path.iterdir()) == []


def test_a_stored_model_is_never_written_over(folder, fitted):
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(FileExistsError, match="never written over"):
        save(folder, fitted)
    assert (folder / "manifest.json").read_bytes() == before


def test_an_interrupted_write_leaves_nothing(tmp_path, fitted, monkeypatch):
    def full_disk(path):
        raise OSError("No space left on device")

    monkeypatch.setattr(artefacts, "_make_durable", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path / "model", fitted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["arrays.npz", "manifest.json"])
def test_a_missing_file_is_named(folder, planted, name):
    (folder / name).unlink()
    with pytest.raises(ArtefactBroken, match=f"{name} cannot be read"):
        load(folder, planted)


def test_no_folder_at_all(tmp_path, planted):
    with pytest.raises(ArtefactBroken, match=r"nowhere.*cannot be read"):
        load(tmp_path / "nowhere", planted)


def test_altered_arrays_are_noticed(folder, planted):
    content = bytearray((folder / "arrays.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "arrays.npz").write_bytes(content)
    with pytest.raises(ArtefactBroken, match="checksum"):
        load(folder, planted)


@pytest.mark.parametrize("content", ["", "{", "[]", "\udcff"])
def test_a_manifest_that_is_none_is_refused(folder, planted, content):
    (folder / "manifest.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ArtefactBroken, match=r"manifest\.json"):
        load(folder, planted)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 99}, "not of format .; train the model again"),
        ({"engine": "jukebox"}, "names engine 'jukebox'; there are relevance"),
        ({"arrays": {}}, "does not hold the arrays"),
    ],
)
def test_what_the_manifest_promises_is_checked(folder, planted, change, told):
    altered(folder, **change)
    with pytest.raises(ArtefactBroken, match=told):
        load(folder, planted)


def test_a_manifest_without_an_entry_is_refused(folder, planted):
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["params"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactBroken, match="lacks params"):
        load(folder, planted)


def test_pickles_are_not_opened(folder, planted):
    """A file that needs pickle is refused even when the manifest vouches for it."""
    with (folder / "arrays.npz").open("wb") as file:
        np.savez(file, allow_pickle=True, ids=np.array([{"a": 1}], dtype=object))
    altered(folder, sha256=artefacts._checksum(folder / "arrays.npz"))
    with pytest.raises(ArtefactBroken, match="cannot be read"):
        load(folder, planted)
