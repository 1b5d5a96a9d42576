"""Encodings are found by mark, NULs and strict UTF-8; guesses say so."""

from __future__ import annotations

import codecs
from random import Random

import pytest

from importer.loader.encoding import DOUBT, as_utf8, detect_encoding
from importer.loader.sheet import Refusal

GERMAN = "Vorname;Straße\r\nJürgen;Größe\r\n"
FRENCH = "Prénom;Où\r\nHélène;Noël\r\nFrançois;d’accord\r\n"
POLISH = "Imię;Miasto\r\nŁukasz;Łódź\r\n"


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (GERMAN.encode(), "utf-8"),
        (codecs.BOM_UTF8 + GERMAN.encode(), "utf-8"),
        (b"plain", "utf-8"),
        (codecs.BOM_UTF16_LE + POLISH.encode("utf-16-le"), "utf-16-le"),
        (codecs.BOM_UTF16_BE + POLISH.encode("utf-16-be"), "utf-16-be"),
        (codecs.BOM_UTF32_LE + POLISH.encode("utf-32-le"), "utf-32-le"),
        (POLISH.encode("utf-16-le"), "utf-16-le"),
        (POLISH.encode("utf-16-be"), "utf-16-be"),
    ],
)
def test_what_is_certain(data: bytes, codec: str) -> None:
    """Nothing is guessed, and no mark is left in the text."""
    found = detect_encoding(data, None, "cp1252")
    assert (found.codec, found.sample) == (codec, None)
    text = as_utf8(data, found).removeprefix(codecs.BOM_UTF8)
    assert text.decode() == data.decode(codec).removeprefix("\ufeff")


@pytest.mark.parametrize("text", [GERMAN, FRENCH])
@pytest.mark.parametrize("codec", ["cp1252", "mac_roman"])
def test_guesses_show_a_sample(text: str, codec: str) -> None:
    """Western text of the two families is told apart, and words of it are shown."""
    found = detect_encoding(text.encode(codec), None, "cp1252")
    assert found.codec == codec
    assert found.sample is not None
    assert ("Straße" if text == GERMAN else "Prénom") in found.sample


def test_the_fallback_is_a_setting() -> None:
    """Text from Warsaw reads right where the settings say so."""
    found = detect_encoding(POLISH.encode("cp1250"), None, "cp1250")
    assert as_utf8(POLISH.encode("cp1250"), found).decode() == POLISH


def test_forcing_decides() -> None:
    """`--encoding` is believed, and nothing is called a guess then."""
    data = GERMAN.encode("mac_roman")
    found = detect_encoding(data, "mac_roman", "cp1252")
    assert (as_utf8(data, found).decode(), found.sample) == (GERMAN, None)


@pytest.mark.parametrize(
    ("data", "forced", "result"),
    [
        (GERMAN.encode("cp1252"), "utf-8", "not valid utf-8"),
        (b"x", "klingon", "no encoding klingon"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8", None, "not valid utf-16-le"),
        (b"\xc3\x81\x8d\x9d\xff\x80", None, "UTF-8, UTF-16 or cp1252"),
    ],
)
def test_what_cannot_be_read(data: bytes, forced: str | None, result: str) -> None:
    """The refusal names the encodings that do not fit."""
    with pytest.raises(Refusal, match=result):
        detect_encoding(data, forced, "cp1252")


def test_utf8_with_its_mark_is_utf8_whatever_the_user_says() -> None:
    """Our files of rejected rows are; the flag was meant for the file that they came from."""
    data = codecs.BOM_UTF8 + GERMAN.encode()
    assert detect_encoding(data, "cp1252", "cp1252").codec == "utf-8"
    garbled = codecs.BOM_UTF8 + GERMAN.encode("cp1252")
    assert detect_encoding(garbled, "cp1252", "cp1252").codec == "cp1252"


def test_a_long_text_is_checked_to_its_end() -> None:
    """A wrong byte after megabytes is found, and a character over the edge of a part is not."""
    long = "é" * 1_500_000
    assert detect_encoding(("x" + long).encode(), None, "cp1252").codec == "utf-8"
    assert detect_encoding(long.encode() + b"\xe9", None, "cp1252").codec != "utf-8"


NAMES = {
    "cp1252": "Jürgen Zoë Weiß Hélène François José Núñez Begoña Muñoz João Søren Kjær Åse Niccolò "
    "Séamus Müller Rodríguez Peña Anaïs D’Angelo Åström Väinö Guðmundur GARCÍA",
    "mac_roman": "Jürgen Zoë Weiß Käthe Hélène François Noël José Muñoz Søren Åse García",
    "cp850": "Jürgen Zoë Weiß Hélène Noël José Núñez Søren",
    "cp1250": "Łukasz Wiśniewski Żak Dąbrowska Michał Wójcik Kamiński Jiří Dvořák Tomáš Kříž "
    "Ondřej Růžička László Szűcs Győző Lőrincz Marković Đorđe Ionuţ",
    "iso8859-2": "Łukasz Wiśniewski Żak Dąbrowska Jiří Dvořák Tomáš Kříž Świątek",
    "cp1254": "Ayşe Yıldız Gülşen Yılmaz İbrahim Tuğba Şahin Erdoğan Işık",
    "cp1257": "Žydrūnas Ąžuolas Rūta Jānis Bērziņš Līga Eglė Õnne",
    "cp1251": "Иван Петров Анна Иванова Сергей Олексій Шевченко",
    "koi8-r": "Иван Петров Анна Иванова Сергей Наталья",
    "cp1253": "Γιάννης Παπαδόπουλος Μαρία Δημητρίου Νίκος",
    "cp1255": "דוד כהן שרה לוי",
    "cp1256": "محمد علي فاطمة حسن",
    "cp932": "山田太郎 鈴木花子 ヤマダ タロウ 高橋",
    "euc_jp": "山田太郎 鈴木花子 佐藤 高橋",
    "gb18030": "张三 李娜 王伟 陈静",
    "big5": "陳大文 林美玲 黃",
    "euc_kr": "김철수 이영희 박지성",
    "cp1258": "Nguyên Đưc Lê",
}


def list_of(names: list[str]) -> str:
    """Return a list of candidates with these first names."""
    return "First name,Phone\r\n" + "".join(f"{name},+44 20 7946 0018\r\n" for name in names)


def known_of(data: bytes) -> str:
    """Return the text, with a question mark for each character that is uncertain."""
    found = detect_encoding(data, None, "cp1252")
    text = as_utf8(data, found).decode()
    assert found.has_doubts == (DOUBT in text)
    return "".join(part[1:] and "?" + part[1:] for part in (DOUBT + "?" + text).split(DOUBT))[1:]


@pytest.mark.parametrize("codec", NAMES)
@pytest.mark.parametrize("many", [1, 2, 5])
def test_nothing_garbled_is_certain(codec: str, many: int) -> None:
    """A name reads as it was written, or the uncertain characters of it are marked."""
    chance, every = Random(many), NAMES[codec].split()
    lists = [chance.sample(every, min(many, len(every))) for _ in range(8)]
    for names in [[name] for name in every] if many == 1 else lists:
        written = list_of(names)
        for right, found in zip(
            written.splitlines(), known_of(written.encode(codec)).splitlines(), strict=True
        ):
            assert found == right or "?" in found, (names, found)


@pytest.mark.parametrize(
    "codec", ["cp1252", "mac_roman", "cp850", "cp1250", "cp1251", "koi8-r", "cp1253", "cp1256"]
)
def test_a_list_of_names_is_certain(codec: str) -> None:
    """A dozen names show their encoding: nothing is left in doubt."""
    written = list_of(NAMES[codec].split()[:12])
    assert known_of(written.encode(codec)) == written


def test_a_symbol_in_a_word_is_in_doubt() -> None:
    """`Micha³` is Michał; a price and a degree are what they are."""
    names = [*NAMES["cp1252"].split(), "Micha\u00b3", "£20,000", "20°"]
    found = known_of(list_of(names).encode("cp1252")).splitlines()
    assert [line.split(",+")[0] for line in found[-3:]] == ["Micha?", "£20,000", "20°"]


ODD = "First name,Phone\nJosé,1\nZoë,2\n".encode() + b"Andr\xe9,3\nM\xfcller \xc3\xa9,4\n"


def test_a_few_odd_rows_do_not_change_the_others() -> None:
    """UTF-8 stays UTF-8; bytes that are not are marked."""
    found = detect_encoding(ODD.replace(b"M\xfcller", b"Mr"), None, "cp1252")
    assert (found.codec, found.odd, found.sample) == ("utf-8", True, None)
    text = as_utf8(ODD, found).decode()
    assert text == f"First name,Phone\nJosé,1\nZoë,2\nAndr{DOUBT}é,3\nM{DOUBT}üller é,4\n"
    marked = detect_encoding(codecs.BOM_UTF8 + ODD, None, "cp1252")
    assert (marked.codec, marked.odd) == ("utf-8", True)


def test_rows_of_another_encoding_than_most_decide_nothing() -> None:
    """One row of UTF-8 in a list of another encoding does not make it UTF-8."""
    rest = list_of(["Jürgen", "Hélène", "Müller", "Weiß"]).encode("cp1252")
    assert detect_encoding(rest + "José,1\r\n".encode(), None, "cp1252").codec != "utf-8"
