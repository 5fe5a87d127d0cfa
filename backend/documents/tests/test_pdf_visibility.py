"""Invisible text of a PDF is not read; visible text is."""

import pytest

from backend.documents.tests.pdfs import HELVETICA, at, build, stream, text_of

SHOWN = at(72, 650, "Final price 120")
DRAFT = at(72, 700, "Draft price 99")
GROUPS = ["<</Type/OCG/Name(Draft)>>", "<</Type/OCG/Name(Other)>>"]  # 100 is off, 101 is on.
FONT = f"/Font<</F1 {HELVETICA}>>"
STRIPES = stream("\0\xff" * 32, "/Type/XObject/Subtype/Image/Width 8/Height 8/ColorSpace/DeviceGray/BitsPerComponent 8")
FINE = stream(
    "\0\xff" * 5000, "/Type/XObject/Subtype/Image/Width 100/Height 100/ColorSpace/DeviceGray/BitsPerComponent 8"
)


def layered(
    content: str, *more: str | bytes, names: str = "", resources: str = "", off: str = "/OFF[100 0 R]"
) -> bytes:
    return build(
        content + SHOWN,
        resources=f"/Properties<</Off 100 0 R/On 101 0 R{names}>>{resources}",
        objects=[*GROUPS, *more],
        catalog=f"/OCProperties<</OCGs[100 0 R 101 0 R]/D<<{off}/Order[]>>>>",
    )


def drawn(content: str, entries: str = "") -> bytes:
    properties = "/Properties<</Off 100 0 R/On 101 0 R>>"
    return stream(content, f"/Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<<{properties}{FONT}>>{entries}")


X = "/XObject<</X 102 0 R>>"
HIDDEN = {
    "a layer that is off": layered(f"/OC /Off BDC {DRAFT} EMC "),
    "all layers off but for some": layered(f"/OC /On BDC {DRAFT} EMC ", off="/BaseState/OFF/ON[100 0 R]"),
    "within a layer that is on": layered(f"/OC /On BDC /OC /Off BDC {DRAFT} EMC EMC "),
    "around a layer that is on": layered(f"/OC /Off BDC /OC /On BDC {DRAFT} EMC EMC "),
    "a membership": layered(f"/OC /M BDC {DRAFT} EMC ", "<</Type/OCMD/OCGs[100 0 R]>>", names="/M 102 0 R"),
    "a negated membership": layered(
        f"/OC /M BDC {DRAFT} EMC ", "<</Type/OCMD/OCGs[101 0 R]/P/AllOff>>", names="/M 102 0 R"
    ),
    "a form in a layer": layered("/X Do ", drawn(DRAFT, "/OC 100 0 R"), resources=X),
    "a form drawn in a layer": layered("/OC /Off BDC /X Do EMC ", drawn(DRAFT), resources=X),
    "a layer in a form": layered("/X Do ", drawn(f"/OC /Off BDC {DRAFT} EMC "), resources=X),
    "white on white": build(f"1 g {DRAFT} 0 g {SHOWN}"),
    "without ink": build(f"3 Tr {DRAFT} 0 Tr {SHOWN}"),
    "transparent": build(f"/G gs {DRAFT} /H gs {SHOWN}", resources="/ExtGState<</G<</ca 0>>/H<</ca 1>>>>"),
    "beside the page": build(at(700, 700, "Draft price 99") + SHOWN),
    "under a white rectangle": build(DRAFT + "1 g 60 690 300 30 re f 0 g " + SHOWN),
    "under a black rectangle": build(DRAFT + "0 g 60 690 300 30 re f " + SHOWN),
    "under a broad stroke": build(DRAFT + "16 w 60 704 m 300 704 l S " + SHOWN),
    "under a picture": build(
        DRAFT + "q 300 0 0 40 60 690 cm /I Do Q " + SHOWN,
        resources="/XObject<</I 100 0 R>>",
        objects=[STRIPES],
    ),
    "in a form, under a rectangle": build(
        "/X Do 60 690 300 30 re f " + SHOWN, resources="/XObject<</X 100 0 R>>", objects=[drawn(DRAFT)]
    ),
    "under a black annotation": build(
        DRAFT + SHOWN,
        page="/Annots[100 0 R]",
        objects=["<</Type/Annot/Subtype/Square/F 4/Rect[60 690 300 720]/IC[0 0 0]/C[0 0 0]>>"],
    ),
    "clipped away": build(f"q 0 0 10 10 re W n {DRAFT} Q {SHOWN}"),
    "clipped away between two": build(f"q 0 0 595 800 re W n 0 0 595 690 re W n {DRAFT} Q {SHOWN}"),
    "of the colour of what is under it": build(f"0.1 0.2 0.6 rg 60 690 300 30 re f {DRAFT} 0 g {SHOWN}"),
    "black on black": build(f"60 690 300 30 re f {DRAFT} {SHOWN}"),
    "nearly transparent": build(f"/G gs {DRAFT} /H gs {SHOWN}", resources="/ExtGState<</G<</ca 0.01>>/H<</ca 1>>>>"),
    "too small to be seen": build(at(72, 700, "Draft price 99", 0.1) + SHOWN),
    "below the page": build(at(72, -40, "Draft price 99") + SHOWN),
    "cropped": build(at(72, 800, "Draft price 99") + SHOWN, page="/CropBox[0 0 595 780]"),
}
VISIBLE = {
    "a layer that is on": layered(f"/OC /On BDC {DRAFT} EMC "),
    "a membership": layered(f"/OC /M BDC {DRAFT} EMC ", "<</Type/OCMD/OCGs[100 0 R]/P/AllOff>>", names="/M 102 0 R"),
    "a form in a layer": layered("/X Do ", drawn(DRAFT, "/OC 101 0 R"), resources=X),
    "a layer over another in the same place": layered(
        f"/OC /Off BDC {at(72, 700, 'Wrong price 98')} EMC /OC /On BDC {DRAFT} EMC "
    ),
    "white on black": build(f"0 g 60 690 300 30 re f 1 g {DRAFT} 0 g {SHOWN}"),
    "over a coloured rectangle": build(f"0.8 0.9 1 rg 60 690 300 30 re f 0 g {DRAFT} {SHOWN}"),
    "under an outline": build(f"{DRAFT} 60 690 300 30 re S {SHOWN}"),
    "under a clear rectangle": build(
        f"{DRAFT} /G gs 1 1 0 rg 60 690 300 30 re f /H gs 0 g {SHOWN}",
        resources="/ExtGState<</G<</ca 0.4>>/H<</ca 1>>>>",
    ),
    "within a clip": build(f"q 60 690 300 30 re W n {DRAFT} Q {SHOWN}"),
    "grey": build(f"0.8 g {DRAFT} 0 g {SHOWN}"),
    "recognized under a scan": build(
        f"{DRAFT} {SHOWN} q 595 0 0 842 0 0 cm /I Do Q",
        resources="/XObject<</I 100 0 R>>",
        objects=[FINE],
    ),
    "recognized on a scan": build(
        f"q 300 0 0 40 60 690 cm /I Do Q 3 Tr {DRAFT} 0 Tr {SHOWN}",
        resources="/XObject<</I 100 0 R>>",
        objects=[STRIPES],
    ),
}

PRICE = at(72, 700, "Price 300 250 euros")
STRIKES = {
    "a drawn line": (build(PRICE + "106 704 m 128 704 l S"), "Price 250 euros"),
    "a thin rectangle": (build(PRICE + "106 703.7 22 0.6 re f"), "Price 250 euros"),
    "the annotation": (
        build(
            PRICE,
            page="/Annots[100 0 R]",
            objects=[
                "<</Type/Annot/Subtype/StrikeOut/Rect[106 698 128 712]/QuadPoints[106 712 128 712 106 698 128 698]>>"
            ],
        ),
        "Price 250 euros",
    ),
    "a row of short rectangles": (
        build(PRICE + "".join(f"{106 + 2 * n} 703.7 2 0.6 re f " for n in range(11))),
        "Price 250 euros",
    ),
    "a slanting line": (build(PRICE + "106 699 m 127 710 l S"), "Price 250 euros"),
    "two crossing lines": (build(PRICE + "106 699 m 127 710 l S 106 710 m 127 699 l S"), "Price 250 euros"),
    "the annotation without its corners": (
        build(
            PRICE,
            page="/Annots[100 0 R]",
            objects=["<</Type/Annot/Subtype/StrikeOut/Rect[106 698 128 712]>>"],
        ),
        "Price 250 euros",
    ),
    "marked to be redacted": (
        build(
            PRICE,
            page="/Annots[100 0 R]",
            objects=[
                "<</Type/Annot/Subtype/Redact/Rect[106 698 128 712]/QuadPoints[106 712 128 712 106 698 128 698]>>"
            ],
        ),
        "Price 250 euros",
    ),
    "a long slanting line beside it": (build(PRICE + "106 620 m 300 720 l S"), "Price 300 250 euros"),
    "an underline": (build(PRICE + "106 698.5 m 128 698.5 l S"), "Price 300 250 euros"),
    "a rule above": (build(PRICE + "72 713 m 300 713 l S"), "Price 300 250 euros"),
}


def test_only_the_covered_figures_are_left_out() -> None:
    content = PRICE + "0 g 102 696 21 14 re f "

    assert text_of(build(content)) == "Price 250 euros"


@pytest.mark.parametrize("name", STRIKES)
def test_struck_out_text_is_not_read(name: str) -> None:
    document, expected = STRIKES[name]

    assert text_of(document) == expected


@pytest.mark.parametrize(("name", "shown"), [*((name, False) for name in HIDDEN), *((name, True) for name in VISIBLE)])
def test_only_visible_text_is_read(name: str, shown: bool) -> None:
    text = text_of((VISIBLE if shown else HIDDEN)[name])

    assert text.split("\n\n") == [*(["Draft price 99"] if shown else []), "Final price 120"]
