"""The text of HTML and Markdown: all that is visible, in place."""

import io

import pytest

from backend.documents.ingestion.parsers import html, markdown
from backend.documents.ingestion.parsers.frames import Job

JOB = Job(task="parse", content_type="", cpu_seconds=9, total_cpu_seconds=9, memory_bytes=1)

# What is written, and the paragraphs that are read.
PAGES = [
    ("<p>300<sup>1</sup> euros, 10<sup>3</sup> l, 10<sup>-3</sup>5", "300^1 euros, 10^3 l, 10^-3 5"),
    ("<p>300<sup><a href=#n>1</a></sup>,<sup>2</sup> 300<sup>[1]</sup> 5<sup>*</sup>", "300^1,^2 300[1] 5*"),
    ("<p><sup>1</sup>300 apart", "^1 300 apart"),
    ("<p>300<sup>1 </sup>euros and<sup> 2</sup> x", "300^1 euros and ^2 x"),
    ("<p>m<sup>2</sup> H<sub>2</sub>O x<sub>i</sub> 5<sub>1</sub> 2<sup>n+1</sup>", "m² H2O x_i 5_1 2^(n+1)"),
    (
        "<p>1<sup>st</sup> 5<sup>o</sup> 5<sup>a</sup> n<sup>o</sup> M<sup>me</sup> XX<sup>e</sup>",
        "1st 5º 5ª nº Mme XXe",
    ),
    ("<p>Fee <del>300</del> <s>320</s><strike>330</strike><ins>350</ins>", "Fee 350"),
    ("<p>Fee <span style='text-decoration: line-through'>300</span> 350", "Fee 350"),
    ("<p>300<span style='vertical-align:super'>1</span> 5<sup>1</sup>/<sub>2</sub>", "300^1 5 1/2"),
    ("<p>a<span style='display:block'>b</span>c<div style='display:inline'>d</div>", "a", "b", "c", "d"),
    ("<p><ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby> <q>so</q>", "漢(kan) “so”"),
    ("<p>ab<wbr>cd e&shy;f 1990&#150;95 &#128;5 caf\u0092", "abcd ef 1990–95 €5 caf’"),
    ("<p>in<span hidden>no</span>side <b style='display: none'>no</b><i style='VISIBILITY:hidden'>no</i>", "inside"),
    ("<p aria-hidden=true>shown<template>no</template><datalist><option>no</datalist><dialog>no</dialog>", "shown"),
    ("<p>a<b style='color:#fff'>no</b><font color=White>no</font><i style='color:rgb(255, 255,255)'>no</i>", "a"),
    (
        "<p>a<b style='background:navy;color:white'>b</b><table><tr><td bgcolor=black><font color=#fff>c</table>",
        "ab",
        "c",
    ),
    ("<p>a<i style='text-indent:-9999px'>no</i><i style='position:absolute;left:-999em'>no</i>", "a"),
    ("<p>a<i style='font-size:0.0px'>no</i><i style='font:0/0 a'>no</i><i style='opacity:0.00'>no</i>", "a"),
    ("<p>a<i style='position:absolute;clip:rect(0,0,0,0)'>no</i><i style='clip-path: inset(50%)'>no</i>", "a"),
    ("<p>a<i style='height:0;overflow:hidden'>no</i><i style='color:transparent'>no</i>", "a"),
    ("<div style='display:none'>no<table><tr><td>no</table></div><!-- no --><p>yes", "yes"),
    (
        "<p>Name <input value=Ana><input type=hidden value=no> <input type=checkbox checked> a <input type=radio> b",
        "Name Ana ☒ a ☐ b",
    ),
    ("<p>City <select><option>Rome<option selected>Porto</select><textarea>note</textarea>", "City Porto note"),
    ("<p>Rated <img src=x alt='4 stars'>.<svg><title>no</title><text>Axis</text></svg>", "Rated 4 stars .Axis"),
    ("<p><math><mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac></math>", "a/(b+1)"),
    ("<p><math><semantics><msup><mi>c</mi><mn>2</mn></msup><annotation>c^{2}</annotation></semantics></math>", "c^2"),
    ("<ol start=5><li>Five<li><p>Six</p></ol>", "5. Five", "6. Six"),
    ("<ol reversed><li>b<li>a</ol><ol type=A><li>x<li value=4>y</ol>", "2. b", "1. a", "A. x", "D. y"),
    ("<ol type=i><li>x<ol style='list-style-type: lower-alpha'><li>y</ol><li>z</ol>", "i. x", "a. y", "ii. z"),
    ("<ul><li>a<ul><li><p>b</p></ul><li></ul><ul style='list-style:none'><li>c</ul>", "- a", "- b", "c"),
    ("<dl><dt>Rent<dd>500</dl>", "Rent", "500"),
    ("<pre>a  b\n\tc</pre>", "a  b\n    c"),
    (
        "<table><tr><th><p>Region</p><th><p>May</p><tr><td><p>North</p><td><p>30</p></table>",
        "Region | May",
        "North | 30",
    ),
    ("<table><tr><td>a<td><ul><li>x<li>y</ul><tr><td>1<br>2<td>z</table>", "a | - x - y", "1 / 2 | z"),
    ("<table><tr><td>a<td><td>c<tr><td><td>b</table>", "a |  | c", "| b |"),
    ("<table><tr><td rowspan=2>a<td>b<tr><td>c<tr><td colspan=2>d</table>", "a | b", "| c", "d |"),
    ("<table><tr><td rowspan=0>a<td>b<tr><td>c<tr><td>d</table>", "a | b", "| c", "| d"),
    (
        "<table><caption>Sales</caption><tfoot><tr><td>sum<td>3</tfoot><tr><td>x<td>3</table>",
        "Sales",
        "x | 3",
        "sum | 3",
    ),
    ("<table><tr><td>a<td><table><tr><td>1<td>2<tr><td>3<td>4</table></table>", "a | 1, 2; 3, 4"),
    ("<table><tr><td hidden>no<td>a<td>b<tr style='display:none'><td>no<td>no</table>", "a | b"),
    ("<table><tr><td colspan=3>a<td>b<tr><td colspan=3>c<td>d</table>", "a | b", "c | d"),
    ("<table role=presentation><tr><td><p>a</p><p>b</p><td>c</table>", "a", "b", "c"),
    ("<tr><td>a<td>b</tr>after", "a | b", "after"),
]


@pytest.mark.parametrize("case", PAGES, ids=[case[0][:60] for case in PAGES])
def test_a_page_is_read_as_it_is_displayed(case: tuple[str, ...]) -> None:
    assert list(html.blocks(case[0])) == list(case[1:])


STRUCK, AWAY = ".o{text-decoration:line-through}", ".h{display:none}"
# Style sheets, what is in the page, and the paragraphs that are read.
SHEETS = [
    (STRUCK + AWAY, "<p>Fee <span class=o>504</span><i class='x h'>790</i> 600", "Fee 600"),
    ("s1,#b , div .c > i{display:none!important} .c i b{}", "<p id=b>no<div><p class=c>a<i>no</i>b", "ab"),
    ("del{display:inline}.o{TEXT-DECORATION: red LINE-THROUGH}", "<p>a<u class=o>no</u>b", "ab"),
    ("@media print{p{display:none}}@media(max-width:600px){p{display:none}}", "<p>yes", "yes"),
    ("@media screen and (min-width: 600px){@supports (a:b){b{visibility:hidden}}}", "<p>yes<b>no</b>", "yes"),
    ("/* } */q::before{content:'}'}b{content:\"/*\";display:none}", "<p>yes<b>no</b>", "yes"),
    ("<!-- .h{display:none", "<p>yes<b class=h>no</b>", "yes"),
    (".s{vertical-align:super}.d{vertical-align:sub}", "<p>300<b class=s>1</b> x<b class=d>i</b>", "300^1 x_i"),
    (".row{font-size:0}.row b{font-size:12px}", "<p class=row>no<b>yes</b>no", "yes"),
    (".v{visibility:hidden}.w{visibility:visible}", "<p class=v>no<b class=w>yes</b>no", "yes"),
    (".h{display:none}p.h{display:block}", "<p class=h>yes", "yes"),
    (".h{display:none!important}", "<p>yes<b class=h style='display:inline'>no</b>", "yes"),
    (".h{display:none}", "<p>yes<b class=h style='display:inline'>too</b>", "yestoo"),
    ("[hidden],a[href^='x']{display:none}", "<p>yes<b hidden>no</b><a href=xy>no</a><a href=y>!</a>", "yes!"),
    ("b:hover,b:first-child{display:none}", "<p><b>no</b>yes<b>yes</b>", "yesyes"),
    ("body{background:#000;color:#fff}.k{color:black}", "<p>yes<b class=k>no</b>", "yes"),
    (".w{color:#FFF}.d{background-image:url(x)}", "<p>yes<b class=w>no</b><p class=d><b class=w>yes</b>", "yes", "yes"),
    (".sr{position:absolute;clip:rect(1px, 1px, 1px, 1px)}", "<p>a<b class=sr>no</b>", "a"),
    (".f{opacity:0;animation:in 1s}.g{opacity:0}", "<p>a<i class=f>b</i><i class=g>no</i>", "ab"),
    (".x{display:block}ol{list-style:upper-roman}", "<p>a<span class=x>b</span><ol><li>c</ol>", "a", "b", "I. c"),
]  # fmt: skip


@pytest.mark.parametrize("case", SHEETS, ids=[case[0][:60] for case in SHEETS])
def test_a_style_sheet_hides_strikes_and_raises(case: tuple[str, ...]) -> None:
    warnings: list[tuple[str, str]] = []

    assert list(html.blocks(f"<style>{case[0]}</style>{case[1]}", warnings)) == list(case[2:])
    assert not warnings


@pytest.mark.parametrize(
    ("sheet", "warned"),
    [
        ("p:nth-child(2n){display:none}", True),
        ("p:not(.y){text-decoration:line-through}", True),
        ("div + p{visibility:hidden}", True),
        ("div{p{display:none}}", True),
        ("@container (width > 1px){p{display:none}}", True),
        ("p\\.x,p{color:red}i:is(.y){display:none}", False),
        ("p:not(.y){color:#fff;background:navy}", False),
        (";".join(f"}}.c{n}{{display:none" for n in range(6_000)), True),
    ],
)
def test_unsupported_rules_that_may_hide_text_give_a_warning(sheet: str, warned: bool) -> None:
    warnings: list[tuple[str, str]] = []

    assert list(html.blocks(f"<style>{sheet}</style><p>Fee 5", warnings)) == ["Fee 5"]
    assert [code for code, _ in warnings] == ["styles_ignored"] * warned


def test_a_style_sheet_in_markdown_counts() -> None:
    assert list(markdown.blocks("<style>.h{display:none}</style>\n\n<p>a<b class=h>no</b></p>\n\nb")) == ["a", "b"]


NOTES = [
    ("| City | Phone |\n|---|---|\n| Porto<br>Lisbon | 111<br>222 |", "City | Phone", "Porto Lisbon | 111 / 222"),
    ("| a | b |\n|---|---|\n| `x\\|y` | m<sup>2</sup> |\n| | z |", "a | b", "x|y | m²", "| z"),
    ("5. Five\n6. Six\n   1. one\n   2. two", "5. Five", "6. Six", "1. one", "2. two"),
    ("5) a\n6) b", "5) a", "6) b"),
    ("7. a\n5. b", "7. a", "5. b"),
    ("1. a\n3. b\n\n---\n\n1. x\n1. y", "1. a", "3. b", "1. x", "2. y"),
    ("1. a\n\n\t- b\n\n2. c", "1. a", "- b", "2. c"),
    ("- [ ] open\n- [x] done", "- [ ] open", "- [x] done"),
    ("[Deadline]: 31-May\n\ntext", "[Deadline]: 31-May", "text"),
    ("[Deadline]: 31-May\n\nBefore the [Deadline].", "[Deadline]: 31-May", "Before the Deadline."),
    ("See [a][1].\n\n[1]: https://x.example 'T'\n[2]: https://y.example", "See a.", "[2]: https://y.example"),
    ("[a]: x.md\n[a]: 30-June\n\n[a]", "[a]: 30-June", "a"),
    ("a\n\n[//]: # (fee 778)\n\n[//]: # 'no'\n\n[comment]: <> (no)\n\n[x]: # \"no\"\n\nb", "a", "b"),
    ("a\n\n[//]: #\n[Deadline]: #5\n\nb", "a", "[Deadline]: #5", "b"),
    ("The rent is 900[^1] euros.\n\n[^1]: Net", "The rent is 900^1 euros.", "^1: Net"),
    ("900[^a] of[^2] 5\n\n---", "900^a of^2 5"),
    ("900[^n]\n\n[^n]: Net of tax", "900^n", "^n: Net of tax"),
    ("Fee ~~300~~ 350, x<sup>2</sup> 10<sup>3</sup> <del>5</del>", "Fee 350, x² 10^3"),
    ("The <script> tag and <b>bold</b>.\n\nnext", "The tag and bold.", "next"),
    ("a\\\nb  \nc\nd", "a\nb\nc d"),
    ("```\ndef f():\n\treturn  1\n```\n\n    x = 1", "def f():\n    return  1", "x = 1"),
    ("---\ntitle: Lease\ndate: 2024\n---\n# Head", "title: Lease\ndate: 2024", "Head"),
    ("<table>\n<tr><td>a</td><td></td>\n\n<td>c</td></tr></table>", "a |  | c"),
    ("![4 stars](x.png) <https://x.example>", "4 stars https://x.example"),
    ("Title\n===\n\n> quoted", "Title", "quoted"),
    ("&euro; 5&nbsp;m", "€ 5 m"),
]


@pytest.mark.parametrize("case", NOTES, ids=[case[0][:60] for case in NOTES])
def test_markdown_is_read_as_it_is_meant(case: tuple[str, ...]) -> None:
    assert list(markdown.blocks(case[0])) == list(case[1:])


LABELS = [
    ("<meta charset=iso-8859-1>€ 500, 1990–1995, it’s".encode("cp1252"), "€ 500, 1990–1995, it’s"),
    (b"<meta http-equiv=Content-Type content='text/html; charset=ISO-8859-1'>S\xe3o \x80", "São €"),
    ("<?xml version='1.0' encoding='windows-1251'?><p>Цена".encode("cp1251"), "Цена"),
    ("<meta charset=utf-16>São".encode(), "São"),
    ("<meta charset=iso-8859-1>São".encode(), "São"),
    (b"\xef\xbb\xbf" + "<meta charset=iso-8859-1>São".encode(), "São"),
    ("\ufeff<meta charset=utf-8>São".encode("utf-16-le"), "São"),
    ("<!-- <meta charset=koi8-r> --><meta charset=gb2312>合同的价格".encode("gbk"), "合同的价格"),
    ("<meta charset=shift_jis>契約の価格①".encode("cp932"), "契約の価格①"),
    ("<meta charset=iso-2022-jp>契約".encode("iso2022_jp"), "契約"),
    ("<meta charset=latin5>ışık".encode("cp1254"), "ışık"),
    ("<meta charset=nonsense>não".encode("cp1252"), "não"),
]


@pytest.mark.parametrize(("data", "expected"), LABELS, ids=[expected for _, expected in LABELS])
def test_a_page_is_decoded_as_browsers_do(data: bytes, expected: str) -> None:
    assert html.read(io.BytesIO(data), JOB) == (expected, [])


def test_invalid_bytes_are_replaced_with_a_warning() -> None:
    text, warnings = html.read(io.BytesIO("<meta charset=utf-8><p>rescisão, é".encode() + b"\xff"), JOB)

    assert (text, [code for code, _ in warnings]) == ("rescisão, é\ufffd", ["text_undecodable"])
