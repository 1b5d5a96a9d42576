"""`importer init`: write a project that starts with a rehearsal, or one that fits a list."""

from __future__ import annotations

import json
import os
import re
import shlex
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import click
from pydantic import TypeAdapter, ValidationError

from importer.atomic_file import refuse_unwritable, replace_file
from importer.errors import Exit, UsageError
from importer.languages import translate
from importer.loader import load
from importer.problems import in_words
from importer.report.formatting import plain
from importer.settings import FILE_NAME, Settings
from importer.settings.sources import with_columns
from importer.settings.values import TemplateName, descriptions
from schemas.codes import Severity
from schemas.templates import Meeting, Participants

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from importlib.resources.abc import Traversable

    import polars as pl
    from pydantic.fields import FieldInfo

    from importer.model import Problem, Table


_EXAMPLE: Final = "candidates.csv"
_MEETINGS: Final = "templates/meetings"
_PARTICIPANTS: Final = "templates/participants"
_MOST_TEMPLATES: Final = 50
_TEMPLATE_NAME: Final = TypeAdapter(TemplateName)
_JOB: Final = re.compile(r"(^|_)(job|role|position|vacancy|stelle|poste|puesto)(_|$)")
_HOST: Final = re.compile(r"manager|mgr|interviewer|recruiter|organi[sz]er|host|owner|contact")


@click.command(short_help="Write settings, templates and a spreadsheet to start from.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@click.option(
    "--from",
    "list_file",
    metavar="LIST",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Fit settings and templates to the columns of this spreadsheet, instead of an example.",
)
def init(folder: Path, list_file: Path | None) -> int:
    """Write settings, templates and a spreadsheet to start from into FOLDER (default: here).

    The project begins with a rehearsal in the sandbox, which contacts nobody. Existing files are
    never overwritten.
    """
    project = _read_starter()
    checked = _EXAMPLE
    if list_file is not None:
        table = load(str(list_file), Settings())
        for problem in in_words(table.problems, [table]):
            if problem.severity is not Severity.INFO:
                click.echo(problem_line(problem), err=True)
        if not table.frame.height:
            click.echo(translate("Nothing was written."), err=True)
            return Exit.INPUT
        project = _fit_project(project, table)
        checked = os.path.relpath(list_file.absolute(), folder.absolute())
    _write_project(project, folder)
    _show_next(folder, shlex.quote(checked))
    return Exit.OK


def problem_line(problem: Problem) -> str:
    """Return where a problem is, what it is and how to fix it, in one line."""
    row = translate("row {row}", row=problem.row) if problem.row else ""
    place = ", ".join(filter(None, [row, problem.header]))
    return plain(f"{place}{': ' if place else ''}{problem.message} {problem.fix}", 400)


def _show_next(folder: Path, name: str) -> None:
    """Show the commands of a first rehearsal, and how to go live."""
    steps = [
        (f"importer check {name}", translate("what would be sent")),
        ("importer sandbox", translate("in another terminal: a mock of the API")),
        (f"importer run {name}", translate("a rehearsal; contacts nobody")),
    ]
    if folder != Path():
        steps.insert(0, (f"cd {shlex.quote(str(folder))}", ""))
    width = max(len(command) for command, _ in steps)
    lines = [f"  {command:{width}}  {about}".rstrip() for command, about in steps]
    click.echo("\n".join(["", translate("Next:"), *lines]), err=True)
    live = translate("To go live, delete `rehearsal: true` from {file}.", file=FILE_NAME)
    click.echo(live, err=True)


def _read_starter() -> dict[str, str]:
    """Return the files of the example project: path below its folder -> text."""
    folder = files("importer.cli") / "starter"
    project = {path: each.read_text("utf-8") for path, each in _list_files(folder)}
    return project | {f".schemas/{name}.json": text for name, text in editor_schemas().items()}


def editor_schemas() -> dict[str, str]:
    """Return JSON schemas for editors: `settings`, `meeting` and `participants`, as text."""
    settings = Settings.model_json_schema()
    for name, text in descriptions(Settings).items():
        about = settings["properties"][name] | {"description": text}
        settings["properties"][name] = dict(sorted(about.items()))
    settings["properties"].pop("new_ledger")  # a flag for one run
    for name, field in Settings.model_fields.items():
        if name in settings["properties"] and _takes_text(field):
            kind = settings["properties"][name]
            words = {key: kind.pop(key) for key in ("description", "default") if key in kind}
            settings["properties"][name] = {"anyOf": [kind, {"type": "string"}], **words}
    meeting = Meeting.model_json_schema()
    spelled = {str(name) for names in Meeting.spellings() if len(names) > 1 for name in names}
    meeting["required"] = [name for name in meeting["required"] if name not in spelled]
    found = {
        "settings": settings,
        "meeting": meeting,
        "participants": Participants.model_json_schema(),
    }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {name: json.dumps(head | each, indent=2) + "\n" for name, each in found.items()}


def _takes_text(field: FieldInfo) -> bool:
    """Whether a number of this setting may be written as text, such as 20% or 50 MB."""
    metadata = [*field.metadata, *(get_args(field.annotation) or ())]
    return "BeforeValidator" in repr(metadata)


def _list_files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    """Yield every file below a folder of the package with its relative path, in stable order."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _list_files(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry


def _write_project(project: Mapping[str, str], folder: Path) -> None:
    """Write the files; raise UsageError before the first if one exists or cannot be written."""
    there = [folder / path for path in project if os.path.lexists(folder / path)]
    if there:
        raise UsageError(
            f"Nothing was written: {', '.join(map(str, there))} already exists.",
            "Choose another folder: `importer init FOLDER`.",
        )
    for path in project:
        parent = (folder / path).parent
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"The folder {parent} cannot be created: {error.strerror}.",
                "Choose another folder.",
            ) from error
        refuse_unwritable(folder / path)
    for path, text in project.items():
        target = folder / path
        with replace_file(target) as out:
            out.write(text)
        if not path.startswith("."):
            click.echo(translate("wrote {file}", file=target), err=True)


# ---- a project that fits a list ----------------------------------------------------------------


def mapping_to_save(tables: Iterable[Table]) -> dict[str, str]:
    """Return header -> column for `columns:`, so that lists continue to be read in the same way.

    A column with several headers is left out: naming one of them would drop the others.
    """
    return {
        header: column
        for table in tables
        for header, column in table.mapping.items()
        if column not in table.fallbacks
    }


def _fit_project(project: Mapping[str, str], table: Table) -> dict[str, str]:
    """Return the example project with the columns of a list in its settings and templates."""
    fitted = {path: text for path, text in project.items() if path != _EXAMPLE}
    always = {column for header, column in table.mapping.items() if _is_filled(table, header)}
    named_by = {
        "campaign": {"campaign", "external_campaign"},
        "meeting": {"meeting_template"},
        "participants": {"participant_template"},
        "default_country": {"country"},
    }
    settings = fitted[FILE_NAME]
    for key in (key for key, columns in named_by.items() if columns & always):
        settings = re.sub(rf"(?m)^({key}: .*)$", r"# \1  # each row names its own", settings)
    saved = mapping_to_save([table])
    mapping = with_columns(Path(os.devnull), saved) if saved else ""
    about = f"\n# How the headers of {plain(table.source.name)} are read.\n"
    fitted[FILE_NAME] = settings + (about + mapping if mapping else "")
    templates = (
        (_MEETINGS, "meeting_template", "onsite-45", _meeting(table)),
        (_PARTICIPANTS, "participant_template", "hiring-manager", _participants(table)),
    )
    for folder, column, name, values in templates:
        text = fitted.pop(f"{folder}/{name}.yaml")
        for old, new in values.items():
            text = text.replace(old, new)
        names = _names_in(table, column)
        for each in names if column in always and names else [name, *names]:
            fitted[f"{folder}/{each}.yaml"] = text
    return fitted


def _meeting(table: Table) -> dict[str, str]:
    """Return what to replace in the example's meeting template."""
    jobs = [name for name in _filled(table) if _JOB.search(name)]
    if jobs:
        return {"{job_title}": f"{{{min(jobs, key=len)}}}"}
    about = "; {job_title} is a column of your file"
    return {about: "; {first_name} would be a value of the row", " for {job_title}": ""}


def _participants(table: Table) -> dict[str, str]:
    """Return what to replace in the example's participant template."""
    filled = _filled(table)
    emails = [name for name, header in filled.items() if _holds_emails(table, header)]
    hosts = [name for name in emails if _HOST.search(name)]
    for email in hosts:
        stem = re.sub(r"_?(e_?mail|mail)(_address)?_?", "", email)
        names = [name for name in filled if name in {stem, f"{stem}_name", f"name_{stem}"}]
        if names:
            return {
                "{hiring_manager_name}": f"{{{names[0]}}}",
                "{hiring_manager_email}": f"{{{email}}}",
            }
    column = f", or a column of the list, such as {{{emails[0]}}}" if emails else ""
    return {
        "{hiring_manager_name}": "Recruiting Desk",
        "{hiring_manager_email}": "recruiting@example.com",
        "as meetingParticipants.": "as meetingParticipants.\n# This one is made up: "
        f"enter your own{column}.",
    }


def _filled(table: Table) -> dict[str, str]:
    """Return placeholder -> header of the extra columns that nearly every row fills.

    A row without a value then needs fixing; that is better than one example for all rows.
    """
    return {
        name: header
        for header, name in table.extra.items()
        if _is_nearly_all(table.frame[header].is_not_null())
    }


_NEARLY: Final = 0.9


def _is_nearly_all(found: pl.Series) -> bool:
    """Whether nine out of ten values are true; nulls do not count."""
    known = found.drop_nulls().cast(int)
    return bool(known.len()) and known.sum() >= _NEARLY * known.len()


def _is_filled(table: Table, header: str) -> bool:
    return bool(table.frame[header].is_not_null().all())


def _holds_emails(table: Table, header: str) -> bool:
    return _is_nearly_all(table.frame[header].str.contains(r"^[^@\s]+@[^@\s]+\.[^@\s]+$"))


def _names_in(table: Table, column: str) -> list[str]:
    """Return the names of templates in a column of the list."""
    found: dict[str, None] = {}
    for header in (header for header, each in table.mapping.items() if each == column):
        for value in table.frame[header].drop_nulls().unique(maintain_order=True):
            try:
                found[_TEMPLATE_NAME.validate_python(value)] = None
            except ValidationError:  # `importer check` reports what is wrong with it
                continue
    return list(found)[:_MOST_TEMPLATES]
