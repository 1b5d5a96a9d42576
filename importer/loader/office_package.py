"""The parts of an Office workbook (XLSX, XLSB), found by its relations and not by their names."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

from importer.loader.files import member_chunks, plain_path
from importer.loader.safe_xml import parse, small

_ROOT_RELATIONS: Final = "_rels/.rels"
_WORKBOOK: Final = "xl/workbook.xml"
_BINARY_WORKBOOK: Final = "xl/workbook.bin"
_STRINGS: Final = "xl/sharedStrings.xml"
_STYLES: Final = "xl/styles.xml"
TRUE: Final = frozenset({"1", "true", "on"})
_USUAL_RELATION: Final = re.compile(
    rb'<Relationship Id="([!#-%\'-;=?-~]*)" Type="[^"<>&]*/hyperlink"'
    rb' Target="([!#-%\'-;=?-~]*)" TargetMode="External"/>'
)


@dataclass(frozen=True, slots=True)
class SheetName:
    """A sheet of a workbook.

    Attributes:
        name: as shown on the tab.
        path: the path of its XML in the archive.
        visible: whether the tab is shown.
    """

    name: str
    path: str
    visible: bool


@dataclass(frozen=True, slots=True)
class Package:
    """The parts of a workbook, found by its relations and not by their names.

    Attributes:
        book: the archive.
        sheets: the worksheets, in the order of their tabs.
        strings: path of the shared strings; None if there are none.
        styles: path of the number formats; None if there are none.
        since_1904: whether days are counted from 1904.
        usual: fastexcel can read the workbook unchanged.
    """

    book: zipfile.ZipFile
    sheets: tuple[SheetName, ...]
    strings: str | None
    styles: str | None
    since_1904: bool
    usual: bool


def open_package(book: zipfile.ZipFile) -> Package:
    """Find the parts of a workbook.

    Raises:
        Refusal: the workbook is damaged.
    """
    names = PartNames(book)
    main = main_path(names)
    relations = relations_of(names, main)
    sheets: list[SheetName] = []
    dates: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "workbookPr":
            dates.append(attributes.get("date1904", ""))
        elif name == "sheet":
            key = next((v for k, v in attributes.items() if k.rpartition(":")[2] == "id"), "")
            kind, target = relations.get(key, ("", ""))
            if kind == "worksheet":
                visible = attributes.get("state", "visible") == "visible"
                sheets.append(
                    SheetName(attributes.get("name", ""), names.find(target) or target, visible)
                )

    parse(small(member_chunks(book, names.find(main) or main)), start)
    parts = dict(relations.values())
    since_1904 = bool(dates) and dates[0] in TRUE
    strings = names.find(parts.get("sharedStrings", _STRINGS))
    styles = names.find(parts.get("styles", _STYLES))
    return Package(
        book,
        tuple(sheets),
        strings,
        styles,
        since_1904,
        usual=not names.odd
        and main == _WORKBOOK
        and strings in {None, _STRINGS}
        and styles in {None, _STYLES}
        and not (since_1904 and len(dates) > 1),  # calamine lets the last one decide
    )


class PartNames:
    """Finds members of an archive, ignoring case and the kind of slash.

    Attributes:
        book: the archive.
        odd: fastexcel would not find a member that was found here.
    """

    def __init__(self, book: zipfile.ZipFile) -> None:
        self.book = book
        self._names = {plain_path(name): name for name in book.namelist()}
        self.odd = any("\\" in name or name.startswith("/") for name in book.namelist())

    def find(self, path: str) -> str | None:
        """Find the member at a path, as it is called; None if there is none."""
        found = self._names.get(plain_path(path))
        self.odd = self.odd or (found is not None and found != path)
        return found


def main_path(names: PartNames) -> str:
    """Return the path of the part that lists the sheets: `.xml`, or `.bin` in an XLSB."""
    root = relations_of(names, "")
    main = next((target for kind, target in root.values() if kind == "officeDocument"), "")
    if main:
        return main
    only_binary = names.find(_WORKBOOK) is None and names.find(_BINARY_WORKBOOK) is not None
    return _BINARY_WORKBOOK if only_binary else _WORKBOOK


def relations_of(names: PartNames, part: str) -> dict[str, tuple[str, str]]:
    """Read the relations of a part: id -> kind and path of the target.

    Args:
        names: the names of the parts of the archive.
        part: the path of a part; empty for the archive as a whole.
    """
    at = PurePosixPath(part.replace("\\", "/"))
    folder = "" if str(at.parent) == "." else f"{at.parent}/"
    path = names.find(f"{folder}_rels/{at.name}.rels")
    found: dict[str, tuple[str, str]] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship":
            kind = attributes.get("Type", "").rpartition("/")[2]
            target = attributes.get("Target", "")
            if attributes.get("TargetMode") != "External":
                target = _resolved(folder, target)
            found[attributes.get("Id", str(len(found)))] = kind, target

    if path is not None:
        data = b"".join(small(member_chunks(names.book, path)))
        if b"<!" not in data:  # a comment could hold some
            for key, target in _USUAL_RELATION.findall(data):
                found[key.decode()] = "hyperlink", target.decode()
            data = _USUAL_RELATION.sub(b"", data)
        parse([data], start)
    return found


def _resolved(folder: str, target: str) -> str:
    """Resolve a path that is relative to a folder."""
    target = target.replace("\\", "/")
    steps: list[str] = []
    for step in (target if target.startswith("/") else folder + target).split("/"):
        if step == "..":
            del steps[-1:]
        elif step not in {"", "."}:
            steps.append(step)
    return "/".join(steps)


def usual_package(package: Package, sheet: SheetName) -> bytes:
    """Rewrite the workbook with one sheet, and with its parts at the paths fastexcel expects."""
    types = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {"worksheet": ("xl/worksheets/sheet1.xml", sheet.path)}
    if package.strings is not None:
        parts["sharedStrings"] = (_STRINGS, package.strings)
    if package.styles is not None:
        parts["styles"] = (_STYLES, package.styles)
    relations = "".join(
        f'<Relationship Id="{kind}" Type="{types}/{kind}" Target="/{path}"/>'
        for kind, (path, _) in parts.items()
    )
    around = "http://schemas.openxmlformats.org/package/2006"
    texts = {
        "[Content_Types].xml": f'<Types xmlns="{around}/content-types"/>',
        _ROOT_RELATIONS: f'<Relationships xmlns="{around}/relationships"><Relationship Id="r"'
        f' Type="{types}/officeDocument" Target="{_WORKBOOK}"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{around}/relationships">'
        f"{relations}</Relationships>",
        _WORKBOOK: '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
        f' xmlns:r="{types}"><workbookPr date1904="{int(package.since_1904)}"/><sheets>'
        f'<sheet name={quoteattr(sheet.name)} sheetId="1" r:id="worksheet"/></sheets></workbook>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as after:
        for path, text in texts.items():
            after.writestr(path, text)
        for path, member in parts.values():
            with after.open(path, "w") as part:
                for chunk in member_chunks(package.book, member):
                    part.write(chunk)
    return file.getvalue()


def link_targets(book: zipfile.ZipFile, sheet: str) -> dict[str, str]:
    """Return the addresses that cells of a sheet link to: id -> address."""
    relations = relations_of(PartNames(book), sheet).items()
    return {key: unquote(target) for key, (kind, target) in relations if kind == "hyperlink"}
