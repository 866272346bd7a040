"""CIFAR-10's files in their four forms: the binary or the python version, as a folder or as an archive."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int, UInt8

from ._images import CLASSES, Images
from ._tokens import PIXELS, read_batch

Batch = tuple[UInt8[np.ndarray, "k 3072"], Int[np.ndarray, " k"]]

IMAGES_PER_FILE = 10_000
TRAIN_FILES, TEST_FILE = 5, "test_batch"
LARGEST_MEMBER = 64 * 2**20  # bytes; the real ones have 31 MB


def read_binary(content: bytes, source: str) -> Batch:
    """Pixels and labels of one binary batch: records of one label byte and 3072 pixel bytes."""
    if not content or len(content) % (PIXELS + 1):
        whole = f"a whole number of {PIXELS + 1}-byte records"
        raise ValueError(f"{source} is truncated: {len(content)} bytes are not {whole}; fetch the archive again.")
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, PIXELS + 1)
    return records[:, 1:], records[:, 0].astype(np.int64)


@dataclass(frozen=True)
class Form:
    """One way the data set is handed out."""

    folder: str
    archive: str
    suffix: str
    read: Callable[[bytes, str], Batch]

    def names(self) -> list[str]:
        """The six files, training first."""
        stems = [f"data_batch_{number}" for number in range(1, TRAIN_FILES + 1)] + [TEST_FILE]
        return [stem + self.suffix for stem in stems]


# The binary version first: it is the simpler format.
FORMS = (
    Form("cifar-10-batches-bin", "cifar-10-binary.tar.gz", ".bin", read_binary),
    Form("cifar-10-batches-py", "cifar-10-python.tar.gz", "", read_batch),
)


def find(folder: Path) -> tuple[Form, Path] | None:
    """The first form in a folder: the unpacked files, their folder, or the archive; None if none."""
    for form in FORMS:
        for place in (folder, folder / form.folder):
            if any((place / name).is_file() for name in form.names()):
                return form, place
        if (folder / form.archive).is_file():
            return form, folder / form.archive
    return None


def read_splits(form: Form, place: Path) -> tuple[Images, Images]:
    """Training and test images; ValueError or FileNotFoundError naming the file damaged or missing."""
    names = form.names()
    contents = _from_folder(place, names) if place.is_dir() else _from_archive(place, form)
    batches = [_checked(form.read(contents.pop(name), f"{place}: {name}"), f"{place}: {name}") for name in names]
    train = Images(
        np.concatenate([pixels for pixels, _ in batches[:-1]]),
        np.concatenate([labels for _, labels in batches[:-1]]),
    )
    return train, Images(*batches[-1])


def _checked(batch: Batch, source: str) -> Batch:
    pixels, labels = batch
    if len(pixels) != IMAGES_PER_FILE:
        raise ValueError(f"{source} has {len(pixels)} images, not {IMAGES_PER_FILE}; fetch the archive again.")
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise ValueError(f"{source} has labels outside 0..9; fetch the archive again.")
    return batch


def _from_folder(folder: Path, names: list[str]) -> dict[str, bytes]:
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{folder} lacks {', '.join(absent)}; unpack the archive there again.")
    return {name: (folder / name).read_bytes() for name in names}


def _from_archive(archive: Path, form: Form) -> dict[str, bytes]:
    """The six members, read in memory: nothing is extracted to disk and no other member is opened."""
    wanted = {str(PurePosixPath(form.folder, name)): name for name in form.names()}
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                name = wanted.get(str(PurePosixPath(member.name)))
                if name is None or not member.isreg():
                    continue
                if name in contents or member.size > LARGEST_MEMBER:
                    raise ValueError(f"{archive} has {member.name} twice or too large; fetch it again.")
                file = tar.extractfile(member)
                contents[name] = file.read() if file is not None else b""
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(" :")  # tarfile lists every compression it tried
        raise ValueError(f"{archive} is truncated or damaged ({reason}); fetch it again.") from None
    absent = [name for name in wanted.values() if name not in contents]
    if absent:
        raise ValueError(f"{archive} lacks {', '.join(absent)}; fetch it again.")
    return contents
