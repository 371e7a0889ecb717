"""The LaTeX file of a figure."""

from ezclip.figures.paper import Look
from ezclip.studies.paper.caption import escaped, latex


def test_special_characters_are_escaped() -> None:
    assert escaped(r"50 % of a_b & “c” ~ \x × 2") == (
        r"50 \% of a\_b \& ``c'' \textasciitilde{} \textbackslash{}x $\times$ 2"
    )


def test_the_file_has_the_caption_and_what_it_was_made_of() -> None:
    text = latex("figure4", "100 %", {"command": "a\nb"}, Look(columns=1))
    assert text.startswith("% command: a b\n\\begin{figure}[t]\n")
    assert r"\caption{100 \%}" in text and "{figure4.pdf}" in text
    assert r"\begin{figure*}" in latex("figure4", "", {}, Look(columns=2))
