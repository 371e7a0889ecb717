"""Uploads: clips that browsers cannot play, zips and folders of classes, class names, descriptions."""

import hashlib
import re
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from app.gate.guard import RESERVE
from app.services import Services
from ezclip.data.manifest import MANIFEST, SUFFIXES, read_rows
from ezclip.errors import UserError
from ezclip.files import sha256_of
from ezclip.text.labels import read_labels_file
from ezclip.text.templates import read_descriptions
from ezclip.video.read import describe, write_playable

PREVIEW_FRAMES = 1500
MAX_FILES = 2000
MAX_BYTES = 2_000_000_000  # unpacked
MAX_EXPANSION = 100  # unpacked size / size of the zip; videos hardly compress
_PART = r"(?!\.\.?(/|$))[^/\\:\x00-\x1f]+"
_INSIDE = re.compile(rf"{_PART}(/{_PART})*")  # a path that stays in its folder, on every system


def unpack_zip(services: Services, path: str) -> Path:
    """Unpack the videos and manifest of a zip; returns the folder with one sub-folder per class.

    Raises:
        UserError: not a zip, or too large.
    """

    def unpack(folder: Path) -> Path:
        try:
            with zipfile.ZipFile(path) as archive:
                members = [m for m in archive.infolist() if not m.is_dir() and _is_relevant(m.filename)]
                size = sum(m.file_size for m in members)
                _check_size(len(members), size)
                if size > MAX_EXPANSION * Path(path).stat().st_size or size > shutil.disk_usage(folder).free - RESERVE:
                    raise UserError(
                        f"The zip would unpack to {size / 1e6:.0f} MB, which is too much; send fewer clips."
                    )
                for member in members:
                    archive.extract(member, folder)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
            advice = "zip a folder with one sub-folder for each class"
            raise UserError(f"{Path(path).name} is not a zip file; {advice}.") from error
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise UserError("The zip holds a file and a folder of one name; rename one of them.") from error
        return _classes_in(folder)

    if not path or not Path(path).is_file():
        raise UserError("There is no zip; upload it again.")
    return services.unpacked(sha256_of(path), unpack)


def copy_uploaded_folder(services: Services, files: Sequence[str], names: Sequence[str]) -> Path:
    """Copy a folder of classes that a browser uploaded file by file; returns the copy.

    ``names`` are the paths of ``files`` inside the chosen folder, such as "clips/waving/1.mp4", in the same order.

    Raises:
        UserError: names and files do not match, a name leads outside the folder, a file is missing, or too many files.
    """
    exist = all(Path(file).is_file() for file in files)
    if len(files) != len(names) or not exist or not all(map(_INSIDE.fullmatch, names)):
        raise UserError("The folder upload is incomplete; click the box and choose the folder again.")
    sources = [(Path(file), name) for file, name in zip(files, names, strict=True) if _is_relevant(name)]
    _check_size(len(sources), sum(file.stat().st_size for file, _ in sources))

    def copy(folder: Path) -> Path:
        for file, name in sources:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / name)
        return _classes_in(folder)

    listing = "\n".join(f"{sha256_of(file)} {name}" for file, name in sources)
    return services.unpacked(hashlib.sha256(listing.encode()).hexdigest(), copy)


def _is_relevant(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES or Path(name).name == MANIFEST


def _check_size(files: int, size: int) -> None:
    if files > MAX_FILES or size > MAX_BYTES:
        raise UserError(f"There are {files} videos of {size / 1e9:.1f} GB; at most {MAX_FILES} and 2 GB are allowed.")


def _classes_in(folder: Path) -> Path:
    """``folder``, or its only sub-folder if that contains the classes; checks that its manifest stays inside it."""
    folders = [p for p in folder.iterdir() if p.is_dir()]
    root = folders[0] if len(folders) == 1 and not (folder / MANIFEST).exists() and _nested(folders[0]) else folder
    outside = [row for row in read_rows(root) if not row.path.resolve().is_relative_to(root.resolve())]
    if outside:
        raise UserError(f"{len(outside)} rows of the manifest point outside its folder; list files inside it.")
    return root


def _nested(folder: Path) -> bool:
    return any(p.is_dir() for p in folder.iterdir()) or (folder / MANIFEST).is_file()


def read_class_file(path: str | None) -> tuple[str, dict[str, str], list[str]]:
    """Class names, one per line, user sentences, and warnings, from a text file, a CSV of names or of descriptions."""
    if not path:
        return "", {}, []
    with Path(path).open(encoding="utf-8-sig", errors="replace") as file:
        header = [column.strip().lower() for column in file.readline().split(",")]
    described = len(header) >= 3 and (header[-1] in ("description", "text", "sentence") or "name" not in header)
    if described and Path(path).suffix.lower() == ".csv":
        sentences = read_descriptions(path)
        return "\n".join(sentences), sentences, []
    names, warnings = read_labels_file(path)
    return "\n".join(names), {}, warnings


def preview_pair(services: Services, path: str | None) -> tuple[str | None, tuple[str, str] | None]:
    """A playable file for the player, and (playable file, uploaded file) for the analysis.

    Raises:
        UserError: not a readable video.
    """
    if path is None:
        return None, None
    if describe(path)["playable"]:
        return path, (path, path)
    folder = services.scratch()
    out = str(folder / f"preview-{folder.name}.mp4")
    write_playable(path, out, PREVIEW_FRAMES)
    return out, (out, path)


def missing_seconds(preview: str, path: str) -> float:
    """Seconds of a file that are missing in its preview, which may be limited to ``PREVIEW_FRAMES``."""
    total, part = describe(path)["seconds"], describe(preview)["seconds"]
    return total - part if total and part else 0.0
