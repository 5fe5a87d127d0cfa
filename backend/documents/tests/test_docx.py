"""The text of a DOCX: all that its pages show, once, with its numbers, and nothing else."""

import pytest

from backend.documents.ingestion.parsers.frames import ParseError
from backend.documents.tests.wordml import (
    CLAUSES,
    NAMES,
    Part,
    cell,
    docx,
    item,
    level,
    numbering,
    p,
    read,
    root,
    row,
    run,
    style,
    styles,
    table,
)

HIGH = ("upperRoman", "lowerLetter", "decimal", "decimalZero")
UP, STRUCK, HIDDEN = '<w:vertAlign w:val="superscript"/>', "<w:strike/>", "<w:vanish/>"


def field(instruction: str, *result: str) -> str:
    mark = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
    code = f"<w:r><w:instrText>{instruction}</w:instrText></w:r>"
    return mark.format("begin") + code + mark.format("separate") + "".join(map(run, result)) + mark.format("end")


def section(*references: tuple[str, str, int], more: str = "") -> str:
    lines = "".join(f'<w:{kind}Reference w:type="{page}" r:id="rId{part}"/>' for kind, page, part in references)
    return f"<w:sectPr>{lines}{more}</w:sectPr>"


def header(number: int, *texts: str, kind: str = "header") -> Part:
    return root(kind, f"word/{kind}{number}.xml", "hdr" if kind == "header" else "ftr", "".join(map(p, texts)))


def notes(kind: str, *texts: str) -> Part:
    mark = f"<w:r><w:rPr>{UP}</w:rPr><w:{kind}Ref/></w:r>"
    lines = "".join(f'<w:{kind} w:id="{n}">{p(mark, " " + text)}</w:{kind}>' for n, text in enumerate(texts, 1))
    separator = f'<w:{kind} w:type="separator" w:id="-1">{p("never")}</w:{kind}>'
    return root(f"{kind}s", f"word/{kind}s.xml", f"{kind}s", separator + lines)


HEADERS = [
    (
        "both",
        (header(0, "Contract 4711"), header(1, "Registry 88-B", kind="footer")),
        p("Body") + section(("header", "default", 0), ("footer", "default", 1)),
        "Contract 4711,Body,Registry 88-B",
    ),
    (
        "of first and even pages",
        (
            header(0, "All"),
            header(1, "First"),
            header(2, "Even"),
            root("settings", "word/settings.xml", "settings", "<w:evenAndOddHeaders/>"),
        ),
        p("Body")
        + section(("header", "default", 0), ("header", "first", 1), ("header", "even", 2), more="<w:titlePg/>"),
        "First,All,Even,Body",
    ),
    (
        "that no page shows",
        (header(0, "All"), header(1, "First"), header(2, "Even")),
        p("Body") + section(("header", "default", 0), ("header", "first", 1), ("header", "even", 2)),
        "All,Body",
    ),
    (
        "that sections share",
        (header(0, "Same"), header(1, "Same"), header(2, "Other")),
        p("One", properties=section(("header", "default", 0)))
        + p("Two", properties=section(("header", "default", 1)))
        + p("Three", properties=section())
        + p("Four")
        + section(("header", "default", 2)),
        "Same,Other,One,Two,Three,Four",
    ),
    (
        "with the numbers of pages",
        (
            root(
                "footer",
                "word/footer1.xml",
                "ftr",
                p("Case 7")
                + p("Page ", field(" PAGE ", "3"), " of ", field(" NUMPAGES ", "9"))
                + p("<w:fldSimple w:instr='NUMPAGES \\* Arabic'>" + run("9") + "</w:fldSimple>")
                + p(field("TITLE", "Lease")),
            ),
        ),
        p("Body") + section(("footer", "default", 0)),
        "Body,Case 7,Lease",
    ),
    (
        "with a table",
        (root("header", "word/header1.xml", "hdr", table(row("No.", "12"), row("Date", "May"))),),
        p("Body") + section(("header", "default", 0)),
        "No. | 12,Date | May,Body",
    ),
]


@pytest.mark.parametrize(
    ("parts", "body", "expected"), [case[1:] for case in HEADERS], ids=[case[0] for case in HEADERS]
)
def test_headers_and_footers_are_read_once(parts: tuple[Part, ...], body: str, expected: str) -> None:
    assert read(docx(body, *parts))[0] == expected.split(",")


RUNS = [
    ("a note mark", p("300", run("1", UP), " euros"), "300^1 euros"),
    ("a note mark in two runs", p("300", run("1", UP), run("0", UP), run("5")), "300^10 5"),
    (
        "a unit, a formula and an ordinal",
        p("m", run("2", UP), " H", run("2", '<w:vertAlign w:val="subscript"/>'), "O 1", run("st", UP)),
        "m² H2O 1st",
    ),
    ("a tab after a note mark", p("300", run("1", UP), "<w:r><w:tab/><w:t>euros</w:t></w:r>"), "300^1 euros"),
    ("raised by a distance", p("300", run("1", '<w:position w:val="8"/>'), " euros"), "300^1 euros"),
    ("struck text", p("Fee ", run("300", STRUCK), run("250", "<w:dstrike/>"), "350"), "Fee 350"),
    ("text that is not struck after all", p(run("300", '<w:strike w:val="0"/>')), "300"),
    ("hidden text", p("Price 120", run(" secret 99", HIDDEN)), "Price 120"),
    ("text shown after all", p(run("shown", '<w:vanish w:val="false"/>')), "shown"),
    (
        "hidden marks of paragraphs",
        p("1. Title.", properties=f"<w:rPr>{HIDDEN}</w:rPr>") + p(" Text."),
        "1. Title. Text.",
    ),
    (
        "deletions",
        p(
            "a",
            "<w:del>" + run("no") + "<w:r><w:delText>no</w:delText></w:r></w:del>",
            "<w:ins>" + run("b") + "</w:ins>",
        ),
        "ab",
    ),
    (
        "moves",
        p("<w:moveFrom>" + run("moved") + "</w:moveFrom>") + p("x") + p("<w:moveTo>" + run("moved") + "</w:moveTo>"),
        "x,moved",
    ),
    ("deleted marks of paragraphs", p("one ", properties="<w:rPr><w:del/></w:rPr>") + p("two"), "one two"),
    (
        "earlier properties",
        p("<w:r><w:rPr><w:rPrChange><w:rPr><w:vanish/></w:rPr></w:rPrChange></w:rPr><w:t>shown</w:t></w:r>"),
        "shown",
    ),
    ("fields", p("Due ", field(" DATE ", "1 May"), " to ", field("REF x", "you")), "Due 1 May to you"),
    (
        "fields in fields",
        p(
            '<w:r><w:fldChar w:fldCharType="begin"/><w:instrText> IF </w:instrText></w:r>',
            field("MERGEFIELD x", "never"),
            '<w:r><w:instrText> = 1 </w:instrText><w:fldChar w:fldCharType="separate"/><w:t>yes</w:t>'
            '<w:fldChar w:fldCharType="end"/></w:r>',
        ),
        "yes",
    ),
    ("fields that never end", p('<w:r><w:fldChar w:fldCharType="begin"/></w:r>') + p("text"), "text"),
    (
        "boxes of forms",
        p(
            '<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:checkBox><w:checked/></w:checkBox>'
            "</w:ffData></w:fldChar></w:r>"
            '<w:r><w:fldChar w:fldCharType="end"/></w:r>',
            " yes",
        ),
        "☒ yes",
    ),
    (
        "choices of forms",
        p(
            '<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:ddList><w:result w:val="1"/><w:listEntry w:val="a"/>'
            '<w:listEntry w:val="b"/></w:ddList></w:ffData></w:fldChar><w:fldChar w:fldCharType="end"/></w:r>'
        ),
        "b",
    ),
    (
        "symbols",
        p(
            '<w:r><w:sym w:font="Wingdings" w:char="F0FE"/><w:t> done </w:t>'
            '<w:sym w:font="Symbol" w:char="F061"/></w:r>'
        ),
        "☑ done α",
    ),
    (
        "tabs, breaks and hyphens",
        p(
            "<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/><w:t>d</w:t>"
            "<w:softHyphen/><w:t>e</w:t></w:r>",
            properties='<w:tabs><w:tab w:val="left"/></w:tabs>',
        ),
        "a b\nc-de",
    ),
    (
        "wrappers",
        p(
            "<w:hyperlink>"
            + run("a")
            + "</w:hyperlink><w:smartTag>"
            + run("b")
            + "</w:smartTag><w:customXml>"
            + run("c")
            + "</w:customXml><w:sdt><w:sdtPr><w:alias w:val='no'/></w:sdtPr><w:sdtContent>"
            + run("d")
            + "</w:sdtContent></w:sdt>"
        ),
        "abcd",
    ),
    ("controls around paragraphs", "<w:sdt><w:sdtContent>" + p("a") + "</w:sdtContent></w:sdt>" + p("b"), "a,b"),
    (
        "ruby",
        p("<w:r><w:ruby><w:rt>" + run("kan") + "</w:rt><w:rubyBase>" + run("漢") + "</w:rubyBase></w:ruby></w:r>"),
        "漢(kan)",
    ),
    (
        "a text box, once",
        p(
            "before",
            "<w:r><mc:AlternateContent><mc:Choice Requires='wps'><wps:txbx><w:txbxContent>"
            + p("boxed")
            + "</w:txbxContent></wps:txbx></mc:Choice><mc:Fallback><w:pict><v:textbox><w:txbxContent>"
            + p("boxed")
            + "</w:txbxContent></v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>",
            " after",
        ),
        "before after,boxed",
    ),
    (
        "a text box for old programs",
        p(
            "<w:r><mc:AlternateContent><mc:Choice Requires='new'><a:none/></mc:Choice><mc:Fallback><w:pict>"
            "<v:textbox><w:txbxContent>"
            + p("boxed")
            + "</w:txbxContent></v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>"
        ),
        "boxed",
    ),
    (
        "lettering",
        p('<w:r><w:pict><v:shape><v:textpath string="DRAFT"/></v:shape></w:pict></w:r>', "text"),
        "text,DRAFT",
    ),
]


@pytest.mark.parametrize(("body", "expected"), [case[1:] for case in RUNS], ids=[case[0] for case in RUNS])
def test_visible_text_is_read(body: str, expected: str) -> None:
    assert read(docx(body))[0] == expected.split(",")


def test_styles_hide_strike_and_raise() -> None:
    sheet = styles(
        style("Hidden", f"<w:rPr>{HIDDEN}</w:rPr>", "character")
        + style("Base", f"<w:rPr>{STRUCK}</w:rPr>")
        + style("Old", "", based="Base")
        + style("Mark", f"<w:rPr>{UP}</w:rPr>", "character")
    )
    body = p("10", run("2", '<w:rStyle w:val="Mark"/>'), run("no", '<w:rStyle w:val="Hidden"/>'))
    body += p("no", properties='<w:pStyle w:val="Old"/>')
    body += p(run("yes", '<w:strike w:val="0"/>'), properties='<w:pStyle w:val="Old"/>')

    assert read(docx(body, sheet))[0] == ["10^2", "yes"]


WHITE = '<w:color w:val="FFFFFF"/>'
NAVY = '<w:shd w:val="clear" w:color="auto" w:fill="000080"/>'
UNSEEN = [
    (p("a", run("no", WHITE)), "a"),
    (p("a", run("no", WHITE + '<w:shd w:val="clear" w:fill="FFFFFF"/>')), "a"),
    (p("a", run("no", '<w:sz w:val="2"/>'), run("no", '<w:sz w:val="1"/>'), run("b", '<w:sz w:val="10"/>')), "ab"),
    (p("a", run("no", '<w:rStyle w:val="White"/>')) + p("no", properties='<w:pStyle w:val="Pale"/>'), "a"),
    (p("a", run("b", WHITE + NAVY), run("c", WHITE + '<w:highlight w:val="black"/>')), "abc"),
    (p(run("a", WHITE), properties=NAVY), "a"),
    (p(run("a", WHITE), properties='<w:pStyle w:val="Dark"/>'), "a"),
    (table(row(cell(p(run("a", WHITE)), properties=NAVY), cell(p(run("no", WHITE))))), "a |"),
    (f'<w:tbl><w:tblPr><w:tblStyle w:val="Grid"/></w:tblPr>{row(cell(p(run("a", WHITE))))}</w:tbl>', "a"),
    (p(run("a", '<w:color w:val="FFFFFF" w:themeColor="background1"/>'), properties=NAVY), "a"),
]


@pytest.mark.parametrize(("body", "expected"), UNSEEN, ids=range(len(UNSEEN)))
def test_invisible_text_is_not_read(body: str, expected: str) -> None:
    sheet = styles(
        style("White", f"<w:rPr>{WHITE}</w:rPr>", "character")
        + style("Pale", f"<w:rPr>{WHITE}</w:rPr>")
        + style("Dark", f"<w:pPr>{NAVY}</w:pPr>")
        + style("Grid", f'<w:tblStylePr w:type="firstRow"><w:tcPr>{NAVY}</w:tcPr></w:tblStylePr>', "table")
    )

    assert read(docx(body, sheet))[0] == [expected]


def test_lists_that_start_high_count_on_in_digits() -> None:
    starts = numbering(*(level(n, f"%{n + 1}.", kind, start=1_999_999_999) for n, kind in enumerate(HIGH)))
    expected = ["1999999999. a"] * len(HIGH)

    assert read(docx("".join(item("a", n) for n in range(len(HIGH))), starts))[0] == expected


def test_notes_and_comments_are_read_and_their_marks_stay_apart_from_numbers() -> None:
    reference = f"<w:r><w:rPr>{UP}</w:rPr><w:{{}}Reference w:id='{{}}'/></w:r>"
    body = p(
        "300",
        reference.format("footnote", 2),
        reference.format("footnote", 1),
        "5 and 7",
        reference.format("endnote", 1),
        " of",
        reference.format("footnote", 2),
    )
    body += p(
        "Seen.",
        "<w:r><w:commentReference w:id='1'/></w:r>",
        reference.format("footnote", "3' w:customMarkFollows='1"),
        run("*", UP),
    )
    comments = root(
        "comments", "word/comments.xml", "comments", f'<w:comment w:author="Ana">{p("Ask her.")}</w:comment>'
    )

    assert read(docx(body, notes("footnote", "Gross.", "Net."), notes("endnote", "Weeks."), comments))[0] == [
        *("300^1^2 5 and 7^i of^1", "Seen.*", "^2 Gross.", "^1 Net.", "^i Weeks.", "Comment (Ana): Ask her."),
    ]


def _math(kind: str, **parts: str) -> str:
    inner = "".join(f"<m:{name}>{_letters(text)}</m:{name}>" for name, text in parts.items())
    return f"<m:{kind}>{inner}</m:{kind}>"


def _letters(text: str) -> str:
    return text if text.startswith("<") else f"<m:r><m:t>{text}</m:t></m:r>"


FORMULAS = [
    (_letters("E=m") + _math("sSup", e="c", sup="2"), "E=mc^2"),
    (_math("f", num="a+b", den="2"), "(a+b)/2"),
    (_math("f", num="1", den=_math("rad", e="x")), "1/(√(x))"),
    (_math("sSubSup", e="x", sub="i", sup="n+1"), "x_i^(n+1)"),
    (_letters("2") + _math("f", num="1", den="3") + _letters("x"), "2 1/3 x"),
    (_math("f", num="1", den="2x"), "1/(2x)"),
    (_math("rad", deg="3", e="8"), "∛(8)"),
    (
        "<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr>"
        + "".join(f"<m:{n}>{_letters(t)}</m:{n}>" for n, t in (("sub", "i=1"), ("sup", "n"), ("e", "i")))
        + "</m:nary>",
        "∑_(i=1)^n i",
    ),
    (_math("sSup", e=_math("d", e="a+b"), sup="2"), "(a+b)^2"),
    (_math("func", fName="sin", e="x"), "sin x"),
    ("<m:m><m:mr><m:e>" + _letters("a") + "</m:e><m:e>" + _letters("b") + "</m:e></m:mr></m:m>", "[a, b]"),
]


@pytest.mark.parametrize(("formula", "expected"), FORMULAS)
def test_formulas_are_written_in_a_line(formula: str, expected: str) -> None:
    body = (
        p("Law: ", f"<m:oMath>{formula}</m:oMath>", " holds.")
        + f"<m:oMathPara><m:oMath>{formula}</m:oMath></m:oMathPara>"
    )

    assert read(docx(body))[0] == [f"Law: {expected} holds.", expected]


WEB_ARCHIVE = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=X\r\n\r\n"
    b"--X\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>S=C3=A3o=\r\n 5 <b>euros</b></p>\r\n--X--\r\n"
)


@pytest.mark.parametrize(
    ("path", "content", "expected", "warnings"),
    [
        ("word/c.html", b"<p>whole <b>text</b></p>", ["whole text"], []),
        ("word/c.htm", "<meta charset=latin1><p>São".encode("cp1252"), ["São"], []),
        ("word/c.mht", WEB_ARCHIVE, ["São 5 euros"], []),
        ("word/c.txt", b"plain", ["plain"], []),
        (
            "word/c.docx",
            docx(p("inner") + '<w:altChunk r:id="rId0"/>', ("aFChunk", "word/i.txt", b"deeper")),
            ["inner"],
            [],
        ),
        ("word/c.rtf", rb"{\rtf1 text}", [], ["part_unreadable"]),
    ],
)
def test_parts_in_other_formats_are_read(path: str, content: bytes, expected: list[str], warnings: list[str]) -> None:
    paragraphs, codes = read(docx(p("a") + '<w:altChunk r:id="rId0"/>' + p("b"), ("aFChunk", path, content)))

    assert (paragraphs, codes) == (["a", *expected, "b"], warnings)


@pytest.mark.parametrize(
    "content",
    [
        docx(p("text"), main="word/document2.xml"),
        docx(p("text"), main="word/document2.xml", target="/word/document2.xml"),
        docx(p("text"), main="Word/Document.xml", target="word/document.xml"),
        docx(p("text"), main="word/document2.xml", target=r"word\document2.xml", separator="\\"),
        docx(p("text"), separator="\\"),
        docx(p("text"), strict=True),
    ],
    ids=["another name", "absolute", "other case", "backslashes", "backslashes in the archive", "strict"],
)
def test_the_main_part_is_found(content: bytes) -> None:
    assert read(content)[0] == ["text"]


def test_a_strict_document_is_read_like_any_other() -> None:
    body = table(row("a", "", "c")) + item("A") + p("<m:oMath>" + _math("sSup", e="c", sup="2") + "</m:oMath>")
    body += p(run("no", HIDDEN)) + section(("header", "default", 1))

    assert read(docx(body, CLAUSES, header(1, "Top"), strict=True))[0] == ["Top", "a |  | c", "1. A", "c^2"]


def test_a_drawing_with_text_is_read() -> None:
    data = f"<dgm:dataModel {NAMES}><dgm:pt><a:p><a:r><a:t>Step one</a:t></a:r></a:p></dgm:pt></dgm:dataModel>"
    body = p("Plan", "<w:r><w:drawing><dgm:relIds r:dm='rId0'/></w:drawing></w:r>")

    assert read(docx(body, ("diagramData", "word/diagrams/data1.xml", data)))[0] == ["Plan", "Step one"]


def test_the_unpacked_size_of_nested_parts_is_counted() -> None:
    inner = docx(p("x" * 400_000))
    body = '<w:altChunk r:id="rId0"/>' * 10

    with pytest.raises(ParseError, match="larger than"):
        read(docx(body, ("aFChunk", "word/c.docx", inner)), max_unpacked_bytes=1_000_000)


@pytest.mark.parametrize("tags", ["w:ins", "w:sdt w:sdtContent", "m:oMath", "w:r w:pict", "w:tbl w:tr w:tc w:p"])
def test_elements_may_nest_deeply(tags: str) -> None:
    names = tags.split() * (200 // len(tags.split()))
    body = "".join(f"<{name}>" for name in names) + "".join(f"</{name}>" for name in reversed(names))

    assert read(docx(p(body) + p("end")))[0] == ["end"]


def test_elements_that_nest_too_deeply_are_no_damage() -> None:
    with pytest.raises(ParseError) as refused:
        read(docx("<w:tbl><w:tr><w:tc>" * 300 + p("deep") + "</w:tc></w:tr></w:tbl>" * 300))

    assert refused.value.code == "too_complex"
