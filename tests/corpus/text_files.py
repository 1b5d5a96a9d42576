"""The text files of the corpus, byte for byte as programs and people write them."""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
from typing import Final

PLAIN: Final = (
    "Phone,First name,Last name,Email\n"
    "+44 20 7946 0018,Ada,Lovelace,ada@example.com\n"
    "+1 202 555 0104,Grace,Hopper,grace@example.com\n"
)
GERMAN: Final = (
    "Telefon;Vorname;Nachname;E-Mail-Adresse;Land\r\n"
    "020 7946 0018;Jürgen;Weiß;juergen@example.com;Österreich\r\n"
    "020 7946 0019;Zoë;Müller-Lüdenscheid;zoe@example.com;Dänemark\r\n"
)
FRENCH: Final = (
    "Téléphone;Prénom;Nom;Courriel;Pays\r"
    "01 99 00 12 34;Hélène;Lefèvre;helene@example.com;Côte d’Ivoire\r"
    "01 99 00 12 35;François;Noël;francois@example.com;Algérie\r"
)


def people(codec: str, names: str) -> bytes:
    """Return a list of people with phones in an encoding; no answer tells which one."""
    rows = (
        f"{name.replace(' ', ',')},+44 20 7946 00{number:02},p{number}@example.com\r\n"
        for number, name in enumerate(names.split("; "), 18)
    )
    return ("First name,Last name,Phone,Email\r\n" + "".join(rows)).encode(codec)


NO_PHONE: Final = (
    *("kein Telefon", "pas de téléphone", "sin teléfono", "nessun telefono", "geen telefoon"),
    *("brak telefonu", "sem telefone", "no mobile", "not on file", "liegt nicht vor", "nie ma"),
    *("não tem", "prefer not to say", "to follow"),
)
CALLING_CODES: Final = (
    *("+49 Germany", "+1 (US)", "61.0", "+61 AU", "GB 🇬🇧", "🇬🇧", "+7 Russia", "+44 Germany"),
    "826",
)


def column_of(header: str, cells: tuple[str, ...]) -> bytes:
    """Return a list of people who differ in one column."""
    rows = (f"Ada,{cell},p{number}@example.com\n" for number, cell in enumerate(cells))
    return (f"First name,{header},Email\n" + "".join(rows)).encode()


TEXTS: Final[dict[str, bytes]] = {
    # encodings
    "comma-utf8.csv": PLAIN.encode(),
    "utf8-mark-semicolon-crlf.csv": codecs.BOM_UTF8 + GERMAN.encode(),
    "utf8-mark-quoted-header.csv": codecs.BOM_UTF8 + b'"Phone","First name"\r\n"1","Ada"\r\n',
    "excel-unicode-text.txt": (codecs.BOM_UTF16_LE + GERMAN.replace(";", "\t").encode("utf-16-le")),
    "utf16-be.csv": codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
    "utf16-le-no-mark.csv": GERMAN.encode("utf-16-le"),
    "cp1252-semicolon.csv": GERMAN.encode("cp1252"),
    "mac-roman-cr.csv": FRENCH.encode("mac_roman"),
    "cp1250-forced.csv": (
        "Numer telefonu;Imię;Nazwisko\r\n020 7946 0018;Łukasz;Wiśniewski\r\n".encode("cp1250")
    ),
    "cp1250-polish.csv": people(
        "cp1250", "Łukasz Wiśniewski; Zofia Żak; Małgorzata Dąbrowska; Michał Kamiński"
    ),
    "cp1250-czech.csv": people(
        "cp1250", "Jiří Dvořák; Tomáš Novotný; Petr Kříž; Markéta Černá; Zdeněk Růžička"
    ),
    "cp1253-greek.csv": people("cp1253", "Γιάννης Παπαδόπουλος; Μαρία Δημητρίου; Νίκος Ράπτης"),
    "koi8-r-russian.csv": people("koi8-r", "Иван Петров; Анна Иванова; Сергей Щукин"),
    "utf16-le-no-mark-russian.csv": people("utf-16-le", "Иван Петров; Анна Иванова"),
    "utf16-be-no-mark-japanese.csv": people("utf-16-be", "太郎 山田; 花子 鈴木"),
    "gb18030-chinese.csv": people("gb18030", "三 张; 娜 李; Ada Lovelace"),
    "euc-kr-korean.csv": people("euc_kr", "철수 김; 영희 이; Ada Lovelace"),
    "mac-roman-one-name.csv": people("mac_roman", "Zoë Lovelace; Ada Lovelace"),
    "cp1252-one-name.csv": people("cp1252", "José García; Ada Lovelace"),
    "utf8-odd-rows.csv": people("utf-8", "José García; Zoë Müller; Hélène Noël")
    + people("cp1252", "André Dupont; Ada Lovelace").partition(b"\n")[2],
    "utf8-mark-odd-header.csv": codecs.BOM_UTF8
    + b"Phone,Pr\xe9nom,Nom,Email\n+1 202 555 0104,Zo\xc3\xab,No\xc3\xabl,zoe@example.com\n",
    # delimiters and ends of lines
    "tabs.tsv": PLAIN.replace(",", "\t").encode(),
    "pipes.txt": PLAIN.replace(",", "|").encode(),
    "sep-line.csv": b"sep=;\r\n" + GERMAN.encode(),
    "cr-only.csv": PLAIN.replace("\n", "\r").encode(),
    "mixed-ends.csv": b"Phone,First name\r\n1,Ada\n2,Grace\r3,Mary\r\n",
    "semicolons-around-commas.csv": (
        b"Name;Email;Skills\nLovelace, Ada;ada@example.com;maths, poetry, engines\n"
        b"Hopper, Grace;grace@example.com;COBOL, ships\n"
    ),
    "one-column.csv": b"Email\nada@example.com\ngrace@example.com\n",
    # quotation marks
    "quoted-delimiters-and-breaks.csv": (
        b'Phone,First name,Note\r\n1,Ada,"likes tea, cake\r\nand engines"\r\n2,Grace,"x\n\ny"\r\n'
    ),
    "doubled-quotes.csv": b'Phone,First name\n1,"Ada ""Countess"" Lovelace"\n2,""""\n3,""\n',
    "backslashed-quotes.csv": (
        b'Phone,First name,Note\n1,Ada,"said \\"hello, you\\" twice"\n2,Grace,"C:\\temp\\"\n'
        b'3,Mary,"a \\", b"\n'
    ),
    "stray-quotes.csv": (
        b'Phone,First name,Note\n1,Ada,5\'4" tall\n2,"Ann "Nan" Lee",x\n3,"Mary" Ann,y\n'
    ),
    "spaces-around-quotes.csv": b'Phone, First name, Note\n1, "Ada", "a, b"\n2, "Grace" , "c"\n',
    "unclosed-quote.csv": (
        b'Phone,First name,Note\n1,Ada,fine\n2,Grace,"never closed\n3,Mary,"closed"\n4,Ann,\n'
    ),
    "unclosed-quote-at-the-end.csv": b'Phone,First name\n1,Ada\n2,"Grace\n3,Mary\n',
    # rows and columns
    "blank-rows.csv": b"\r\n\r\nPhone,First name\r\n\r\n1,Ada\r\n,\r\n  ,\r\n2,Grace\r\n\r\n\r\n",
    "blank-columns.csv": b",Phone,,First name,\n,1,,Ada,\n,2,,Grace,\n",
    "column-without-header.csv": b"Phone,,First name\n1,,Ada\n2,note,Grace\n",
    "title-lines.csv": (
        b"Candidates for the Leeds round\n\nExported by,recruiting\nPhone,First name,Email\n"
        b"1,Ada,ada@example.com\n"
    ),
    "totals-below.csv": (
        b"First name,Phone,Score\nAda,1,7\nGrace,2,9\n,,\nTotal,,16\nExported on 1 March 2026\n"
    ),
    "too-few-cells.csv": b"Phone,First name,Email\n1,Ada,a@example.com\n2,Grace\n3,Mary,\n",
    "too-many-cells.csv": b"First name,Surname,Phone\nAda,Lovelace,1\nGrace,Hopper,PhD,2\n",
    "trailing-delimiters.csv": b"Phone,First name,\n1,Ada,,,\n2,Grace,\n3,Mary\n",
    "empty-delimited-rows-below.csv": b"Phone,First name\n1,Ada\n,\n,\n,\n",
    # headers
    "repeated-headers.csv": b"Phone,First name,Note,Note\n1,Ada,x,y\n",
    "two-phone-columns.csv": b"Mobile,Telephone,First name\n1,2,Ada\n",
    "area-codes.csv": (
        b"First name;Vorwahl;Telefon;Handy-Vorwahl;Handy\n"
        b"Ada;020;7946 0018;;\nGrace;;+1 202 555 0104;;\nMary;0491;;;\n"
    ),
    "area-codes-cell.csv": (
        b"First name,Cell area code,Cell phone,Home area code,Home phone,Country\n"
        b"Ada,202,555-0104,,,US\nGrace,,,(415),555-0100,US\n"
    ),
    "phones-not-used.csv": (
        b"First name,Email,Reach me at,Emergency contact,Start\n"
        b"Ada,ada@example.com,+44 20 7946 0018,+1 202 555 0104,2026-03-01\n"
        b"Grace,grace@example.com,(202) 555-0104,+1 202 555 0105,2026-03-02\n"
        b"Mary,mary@example.com,0491 570 006,,2026-03-03\n"
    ),
    "emails-not-used.csv": (
        b"First name,Phone,Login,Hiring manager,Office\n"
        b"Ada,+44 20 7946 0018,ada@example.com,boss@example.com,hq@example.com\n"
        b"Grace,+1 202 555 0104,grace@example.com,boss@example.com,hq@example.com\n"
    ),
    "header-again-in-other-words.csv": (
        b"First name;Phone;Email\nAda;+1 202 555 0104;ada@example.com\n"
        b"FIRST NAME;PHONE;EMAIL\nBen;+1 202 555 0105;ben@example.com\n"
        b"Vorname;Telefon;E-Mail\nCid;+1 202 555 0106;cid@example.com\n"
    ),
    "header-again-without-contacts.csv": (
        b"First name,Last name,Email\nAda,Lovelace,ada@example.com\nFirst name,Last name,\n"
        b"First,Last,last@example.com\n"
    ),
    "questions-below-the-header.csv": (
        "Vorname,Telefon,E-Mail\nWie heißen Sie?,Ihre Nummer?,Ihre E-Mail?\n"
        "Ada,+1 202 555 0104,ada@example.com\n"
    ).encode(),
    "types-below-the-header.csv": (
        b"first_name,phone,email\nstring,varchar(20),string\nAda,+1 202 555 0104,ada@example.com\n"
    ),
    "remarks-below.csv": (
        b"First name,Phone,Email\nAda,+1 202 555 0104,ada@example.com\nGrace Hopper,,\n"
        b"--- End of report ---,,\nFilter: Status = Active,,\nRun by: HR Team,,\n"
        b"(1 row affected)\n"
    ),
    "remarks-below-german.csv": (
        b"Vorname;Telefon;E-Mail\nAda;+1 202 555 0104;ada@example.com\n"
        b"Anzahl Bewerber: 1;;\nStand: 01.03.2026;;\n*** Ende der Liste ***;;\n"
    ),
    "tildes.txt": PLAIN.replace(",", "~").encode(),
    "unit-separators.txt": PLAIN.replace(",", "\x1f").encode(),
    "broken-bars.csv": PLAIN.replace(",", "¦").encode(),
    "fixed-width.txt": PLAIN.replace(",", "    ").encode(),
    "control-characters.csv": (
        b"First name,Phone,Email\nA\0da\x07,+1 202\x02 555 0104,ada@example.com\n"
        b"Grace,+44 20 7946 0018,\x1bgrace@example.com\x7f\n"
    ),
    "nul-between-rows.csv": PLAIN.replace("\n", "\n\0").encode(),
    "names-encoded.csv": (
        "First name,Last name,Phone\n"
        "Jos\\xe9,O&rsquo;Brien,+1 202 555 0104\nBjÃ¶rn,=?iso-8859-1?Q?L=F6f?=,+1 202 555 0105\n"
        "Jos?,Lee,+1 202 555 0106\nAda\\n,Lee,+1 202 555 0107\nAdaÂ ,Lee,+1 202 555 0108\n"
    ).encode(),
    "contacts-not-available.csv": column_of("Phone", NO_PHONE),
    "calling-codes.csv": column_of("Country", CALLING_CODES),
    "headers-with-breaks.csv": (
        '"Phone\nnumber",First\u00a0name,"  LAST-NAME\r\n(family)",E_MAIL*\n'
        "1,Ada,Lovelace,ada@example.com\n"
    ).encode(),
    "near-miss-headers.csv": b"Phnoe nubmer,Fisrt name,Emial\n1,Ada,ada@example.com\n",
    "no-contact-column.csv": b"First name,Job\nAda,Engineer\n",
    "no-header.csv": b"+442079460018,Ada,ada@example.com\n+12025550104,Grace,grace@example.com\n",
    "unknown-headers.csv": b"Colour,Shape\nred,round\n",
    "overridden-headers.csv": b"Tel (mob),Rufname,Telephone\n1,Ada,2\n",
    "remarks-in-headers.csv": (
        b"Phone (mobile),First name [required],Email (manager)\n1,Ada,boss@example.com\n"
    ),
    "surname-called-name.csv": b"Name;Vorname;Handy\nLovelace;Ada;1\n",
    "given-back.csv": (
        b"Phone,First name,reason,_row,_problems,import_status,conversation_id,attempted_at\n"
        b"1,Ada,moved,2,,created,c-1,2026-03-01T09:00:00Z\n"
    ),
    "headers-de.csv": GERMAN.encode(),
    "headers-fr.csv": FRENCH.replace("\r", "\n").encode(),
    "headers-es.csv": (
        "Nombre;Apellidos;Móvil;Correo electrónico;País\nInés;Núñez;1;;España\n".encode()
    ),
    "headers-it.csv": b"Nome;Cognome;Cellulare;Posta elettronica;Nazione\nLucia;Rossi;1;;Italia\n",
    "headers-nl.csv": b"Voornaam;Achternaam;Mobiel nummer;E-mailadres;Land\nJan;Bakker;1;;NL\n",
    "headers-pl.csv": "Imię;Nazwisko;Nr telefonu;Adres e-mail;Kraj\nZofia;Żak;1;;Polska\n".encode(),
    "headers-pt.csv": (
        "Primeiro nome;Apelido;Telemóvel;Correio eletrónico;País\nJoão;Reis;1;;PT\n".encode()
    ),
    # values that programs have already changed stay as they are
    "scientific-phones.csv": b"Phone,First name\n4.47912E+11,Ada\n2079460018.0,Grace\n#N/A,Mary\n",
    # nothing, or nothing that we read
    "empty.csv": b"",
    "blank.csv": b"\r\n  \r\n\t\r\n",
    "header-only.csv": b"Phone,First name\n",
    "web-page.xls": b"<html><body><table><tr><td>Phone</td></tr></table></body></html>",
    "pdf.csv": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "picture.csv": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "binary.csv": bytes(range(256)),
    "not-utf8-as-said.csv": GERMAN.encode("cp1252"),
    # limits
    "too-many-rows.csv": b"Phone,First name\n" + b"1,Ada\n" * 12,
    "too-many-columns.csv": b"Phone,First name" + b",x" * 20 + b"\n",
    "too-many-bytes.csv": PLAIN.encode() * 20,
    "gzip-bomb.csv.gz": gzip.compress(b"\0" * 2_000_000, mtime=0),
    # archives
    "packed.csv.gz": gzip.compress(PLAIN.encode(), mtime=0),
    "cut-short.csv.gz": gzip.compress(PLAIN.encode(), mtime=0)[:-12],
}


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip archive, the same bytes every time."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return file.getvalue()


ARCHIVES: Final[dict[str, bytes]] = {
    "packed.zip": zipped(
        {"__MACOSX/._list.csv": b"junk", "list.csv": GERMAN.encode(), "read me.md": b"hello"}
    ),
    "two-lists.zip": zipped({"march.csv": PLAIN.encode(), "april.csv": PLAIN.encode()}),
    "no-list.zip": zipped({"letter.docx": b"x"}),
    "cut-short.zip": zipped({"list.csv": PLAIN.encode()})[:-30],
}
