"""Atomic writing: a file is either complete or not there."""

from __future__ import annotations

import glob
import os
import shutil
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final, TextIO

from importer.errors import ImporterError, UsageError
from importer.loader.files import readable_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from importer.settings import Settings


@contextmanager
def replace_file(path: Path) -> Iterator[TextIO]:
    """Write a new UTF-8 file that replaces `path` when the body ends.

    The new file is in the same folder and on disk before it replaces the old one, so that nobody
    sees half a file. If the body raises, the old file stays. An existing file keeps its mode, a
    link keeps its target, and a device or pipe such as `/dev/stdout` is written to directly.
    Bytes go to the `buffer` of the file.

    Raises:
        UsageError: the folder does not exist or cannot be written to, or `path` is a folder.
        ImporterError: writing failed, for example because the disk is full.
    """
    target = path.resolve()
    if target.is_dir():
        raise _is_folder(path)
    if target.exists() and not target.is_file():
        try:
            with target.open("w", encoding="utf-8", newline="") as out:
                yield out
        except OSError as exc:
            raise _unwritable(path, exc) from exc
        return
    temporary = _temporary(target)
    try:
        with _opened(temporary, path) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    finally:
        temporary.unlink(missing_ok=True)


def check_outputs(
    outputs: Mapping[str, Path | Sequence[Path] | None],
    inputs: Iterable[str | Path],
    settings: Settings,
) -> None:
    """Check before long work that every output can be written and replaces nothing that matters.

    Args:
        outputs: flag, such as `--report`, -> the file or files to be written later; None is
            skipped.
        inputs: the files that are read; names that are no file, such as `-`, are skipped.
        settings: name the settings file, the templates, the ledger and its key.

    Raises:
        UsageError: an output is an input, a settings file, a template, the ledger or a file beside
            it, or another output, by whatever path or link; or as `replace_file` raises it.
            Nothing is touched.
    """
    taken = [(f"the input {_input_file(each)}", _input_file(each)) for each in inputs]
    taken += _files_of(settings)
    paths = [
        (flag, path)
        for flag, named in outputs.items()
        for path in ([named] if isinstance(named, Path) else named or ())
    ]
    for flag, path in paths:
        for what, other in taken:
            if _is_same_file(path, other):
                raise UsageError(
                    f"{flag} {path} would overwrite {what}.", "Choose another name for it."
                )
        taken.append((f"what {flag} writes", path))
    refuse_unwritable(*(path for _, path in paths))


def _input_file(name: str | Path) -> Path:
    """Return the file of an input; for a file in an archive (`lists.zip/a.csv`) the archive."""
    path = Path(name)
    return next((each for each in (path, *path.parents) if each.is_file()), path)


def _files_of(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yield what the settings name and no output may replace, with a name for each."""
    if settings.file is not None:
        yield "the settings", settings.file
    if settings.templates.is_dir():
        for path in settings.templates.rglob("*"):
            yield f"the template {path.name}", path
    if settings.hmac_key_file is not None:
        yield "the ledger's key", settings.hmac_key_file
    for ledger in (settings.ledger_file, settings.unused_ledger_file):
        if ledger is None:
            continue
        yield "the ledger", ledger
        for path in ledger.parent.glob(f"{glob.escape(ledger.name)}?*"):
            yield f"a file of the ledger, {path.name}", path
        yield "the ledger's key", ledger.with_name(f"{ledger.name}.key")


def _is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, by links and other spellings too."""
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return one.resolve() == other.resolve()


def refuse_unwritable(*paths: Path | None) -> None:
    """Check before long work that `replace_file` will be able to write.

    Args:
        paths: of files to be written later; None is skipped.

    Raises:
        UsageError: as `replace_file` does; nothing is left behind.
    """
    for path in paths:
        if path is None:
            continue
        target = path.resolve()
        if target.is_dir():
            raise _is_folder(path)
        if not target.exists() or target.is_file():
            temporary = _temporary(target)
            _opened(temporary, path).close()
            temporary.unlink()


def _is_folder(path: Path) -> UsageError:
    return UsageError(f"{path} is a folder.", "Give the name of a file in it.")


def _temporary(target: Path) -> Path:
    """Return the name of the new file until it replaces the old one."""
    return target.with_name(f".{target.name[:100]}.{os.getpid()}.part")


def _opened(temporary: Path, named: Path) -> TextIO:
    """Open an empty file in the folder of the target."""
    try:
        return temporary.open("w", encoding="utf-8", newline="")
    except FileNotFoundError as exc:
        raise UsageError(
            f"{named} cannot be written: there is no folder {temporary.parent}.",
            "Create it first.",
        ) from exc
    except OSError as exc:
        raise UsageError(
            f"{named} cannot be written: {exc.strerror}.",
            "Choose a folder that you can write to.",
        ) from exc


def _unwritable(path: Path, exc: OSError) -> ImporterError:
    return ImporterError(f"{path} cannot be written: {exc.strerror or exc}.")


WORKBOOK: Final = ".xlsx"
"""Ending of a file of rejected rows that is a workbook; every other is a CSV."""


def rejected_paths(path: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """Return the files that `write_rejected` writes: `path`, or one beside it for each input.

    Args:
        path: that the user named: `to-fix.csv`.
        names: of the inputs. Those of `a.csv` and `b.csv` become `to-fix-a.csv`, `to-fix-b.csv`.

    Raises:
        UsageError: several files would go into a device or pipe.
    """
    if len(names) <= 1:
        return (path,)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UsageError(
            f"{path} cannot take the rejected rows of several files.",
            "Give the name of a file; each input gets one with its own name added.",
        )
    paths: list[Path] = []
    taken: set[str] = set()
    for name in map(readable_name, names):
        stem = PurePath("stdin" if name == "-" else name.removesuffix(".gz")).stem
        number, label = 1, stem
        while label.casefold() in taken:
            number += 1
            label = f"{stem}-{number}"
        taken.add(label.casefold())
        paths.append(path.with_name(f"{path.stem}-{label}{path.suffix}"))
    return tuple(paths)
