"""The page of a list's columns: what each is taken for, with samples, and how to say otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from importer.ledger.records import ListState
from importer.planning.placeholders import fold_name
from importer.web.access import record_event
from importer.web.check_pages import COLUMN_CODES, column_words
from importer.web.pages import (
    find_own_list,
    name_of,
    person_of,
    refuse,
    render,
    see_other,
    site_of,
    text_of,
    with_form,
    words_of,
)
from schemas.columns import BY_NAME, ROW

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from importer.model import Plan


_SAMPLES: Final = 3
_TEXT, _IGNORE = "text", "ignore"
_NEVER: Final = "skip_duplication_check"


@dataclass(frozen=True, slots=True)
class ColumnView:
    """A column of a list.

    Attributes:
        header: what the file calls it.
        samples: the first values in it.
        taken_for: a canonical column, `text` or `ignore`.
        doubt: what is unclear about it; empty if nothing is.
    """

    header: str
    samples: tuple[str, ...]
    taken_for: str
    doubt: str


def columns_page(request: Request) -> Response:
    """Each header with samples, and a choice of what it is."""
    known, site = find_own_list(request), site_of(request)
    if known.state not in {ListState.OPEN, ListState.WAITING}:
        return see_other(f"/lists/{known.id}")
    plan = site.workbench.plan(known)
    words = words_of(request)
    choices = [(name, column_words(words, name)) for name in BY_NAME if name != _NEVER]
    return render(
        request,
        "columns.html.j2",
        known=known,
        name=site.workbench.name_of(known),
        columns=_views(request, plan),
        choices=choices,
    )


def _views(request: Request, plan: Plan) -> list[ColumnView]:
    table, words = plan.tables[0], words_of(request)
    doubts: dict[str, str] = {}
    named = {column: header for header, column in {**table.extra, **table.mapping}.items()}
    unclear = plan.problems.filter(
        plan.problems["code"].is_in([each.value for each in COLUMN_CODES])
    )
    for column, code, detail in unclear.select("column", "code", "detail").iter_rows():
        header = named.get(column)
        if header is not None:
            problem = next(each for each in COLUMN_CODES if each.value == code)
            doubts.setdefault(header, words.problem(problem, header, detail)[0])
    found = []
    for header in [name for name in table.frame.columns if name != ROW]:
        samples = table.frame[header].drop_nulls().head(_SAMPLES).to_list()
        taken_for = table.mapping.get(header) or (_TEXT if header in table.extra else _IGNORE)
        found.append(
            ColumnView(header, tuple(map(str, samples)), taken_for, doubts.get(header, ""))
        )
    return found


def choose_columns(request: Request, form: FormData) -> Response:
    """Take what a person says about the columns, and remember it for lists like this."""
    known, site, person = find_own_list(request), site_of(request), person_of(request)
    if known.state not in {ListState.OPEN, ListState.WAITING}:
        refuse(request, "This list cannot be changed any more.", "Sending has begun.", 423)
    plan = site.workbench.plan(known)
    before = known.choices.get("columns")
    chosen = dict(before) if isinstance(before, dict) else {}
    for number, view in enumerate(_views(request, plan)):
        said = text_of(form, f"c{number}", 100)
        if text_of(form, f"h{number}", 500) != view.header.strip() or said in {"", view.taken_for}:
            continue
        if said not in {_TEXT, _IGNORE, *BY_NAME} or said == _NEVER:
            refuse(request, "There is no such column.", "Go back and choose another one.")
        chosen[view.header] = fold_name(view.header) if said == _TEXT else said
    site.ledger.lists.remember_columns(
        site.workbench.headers_hash(plan),
        {name: str(of) for name, of in chosen.items()},
        name_of(person),
    )
    site.ledger.lists.change(
        known.id,
        {ListState.OPEN, ListState.WAITING},
        state=ListState.CHECKING.value,
        choices={**known.choices, "columns": chosen, "columns_by": name_of(person)},
    )
    record_event(site.ledger, person, "columns-chosen", list_id=known.id)
    site.jobs.wake()
    return see_other(f"/lists/{known.id}")


choose_columns_form = with_form(choose_columns)
