"""A fitted engine as a folder: its arrays without pickle, and a manifest that says what they are.

    arrays.npz       the engine's state, numpy's own format
    manifest.json    format, engine, parameters, shape and dtype of each array, checksum of arrays.npz

A folder is whole or not there: it is written beside its place, made durable, and renamed.
"""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quasimusic.exceptions import ArtefactBroken
from recommender.engines import ENGINES
from recommender.engines.base import Engine
from recommender.engines.tables import Tables

FORMAT = 2
ARRAYS = "arrays.npz"
MANIFEST = "manifest.json"


def save(directory: Path, engine: Engine) -> None:
    """Write the engine to a directory that is not there yet.

    Raises FileExistsError where it is: a stored model is never written over.
    """
    if directory.exists():
        raise FileExistsError(f"{directory} is there already; a stored model is never written over")
    directory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        _write(unfinished, engine)
        unfinished.rename(directory)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    _make_durable(directory.parent)


def load(directory: Path, tables: Tables) -> Engine:
    """The engine stored in the directory, on these tables.

    Raises ArtefactBroken saying what is wrong: a file absent or altered, another format, an unknown engine.
    """
    manifest = _read_manifest(directory)
    state = _read_arrays(directory, manifest)
    return ENGINES[manifest["engine"]](tables, _tuples(manifest["params"]), state)


def readable(directory: Path) -> bool:
    """Whether the directory holds a model of today's format, by its manifest alone."""
    try:
        _read_manifest(directory)
    except ArtefactBroken:
        return False
    return True


def _write(directory: Path, engine: Engine) -> None:
    state = {name: _storable(name, array) for name, array in engine.state.items()}
    with (directory / ARRAYS).open("wb") as file:
        np.savez(file, allow_pickle=False, **state)
    manifest = {
        "format": FORMAT,
        "engine": engine.name,
        "params": engine.params,
        "arrays": _described(state),
        "sha256": _checksum(directory / ARRAYS),
    }
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=2, default=_plain) + "\n", encoding="utf-8")
    for path in (directory / ARRAYS, directory / MANIFEST, directory):
        _make_durable(path)


def _storable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Text as fixed-width unicode; everything else as it is."""
    if array.dtype.kind != "O":
        return array
    if not all(isinstance(value, str) for value in array.ravel()):
        raise TypeError(f"{name} holds objects other than text; only numbers and text are stored")
    return array.astype(np.str_)


def _described(state: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    return {name: {"shape": list(array.shape), "dtype": array.dtype.str} for name, array in state.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a parameter is {value!r}; only numbers, text and lists of these are stored")


def _read_manifest(directory: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise ArtefactBroken(f"{directory / MANIFEST} cannot be read: {fault}") from fault
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtefactBroken(f"{directory / MANIFEST} is not of format {FORMAT}; train the model again")
    absent = {"engine", "params", "arrays", "sha256"} - set(manifest)
    if absent:
        raise ArtefactBroken(f"{directory / MANIFEST} lacks {', '.join(sorted(absent))}")
    if manifest["engine"] not in ENGINES:
        raise ArtefactBroken(
            f"{directory / MANIFEST} names engine {manifest['engine']!r}; there are {', '.join(ENGINES)}"
        )
    return manifest


def _read_arrays(directory: Path, manifest: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    path = directory / ARRAYS
    try:
        if _checksum(path) != manifest["sha256"]:
            raise ArtefactBroken(f"{path} is not what was written: its checksum differs from the manifest's")
        with np.load(path, allow_pickle=False) as arrays:
            state = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as fault:
        raise ArtefactBroken(f"{path} cannot be read: {fault}") from fault
    if _described(state) != manifest["arrays"]:
        raise ArtefactBroken(f"{path} does not hold the arrays that {MANIFEST} lists")
    return state


def _tuples(params: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists alone; a parameter of several values is a tuple."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_durable(path: Path) -> None:
    """Have the system put a file or a folder's entries on the disk itself before anything relies on them."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
