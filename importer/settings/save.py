"""Remembers in importer.yaml how headers are understood; comments and order of the file stay."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from importer.errors import SettingsError
from importer.yaml_files import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def with_columns(file: Path, columns: Mapping[str, str]) -> str:
    """The text of a settings file with these headers under `columns:`.

    Args:
        file: importer.yaml; need not be there yet.
        columns: header -> column; headers that stand there already get the new column.

    Raises:
        SettingsError: the file cannot be read.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100
    text = ""
    if file.is_file():
        read_yaml(file, SettingsError)  # says what is wrong, and where
        text = file.read_text("utf-8-sig")
    document = yaml.load(text)
    if document is None:
        text = f"{text.rstrip()}\n" if text.strip() else ""
        return text + _dumped(yaml, {"columns": dict(columns)})
    if not isinstance(document.get("columns"), dict):
        document["columns"] = CommentedMap()
    document["columns"].update(columns)
    return _dumped(yaml, document)


def _dumped(yaml: YAML, document: object) -> str:
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()
