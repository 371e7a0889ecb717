"""The LaTeX file beside a figure: the figure with its caption, and as comments what it was made of."""

from __future__ import annotations

from collections.abc import Mapping

from ezclip.figures.paper import Look

_SPECIAL = {**{c: f"\\{c}" for c in "&%$#_{}"}, "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    "\\": r"\textbackslash{}",
    "“": "``",
    "”": "''",
    "×": r"$\times$",
}


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_SPECIAL.get(c, c) for c in text)


def latex(name: str, caption: str, provenance: Mapping[str, str], look: Look) -> str:
    """A figure environment for ``name``.pdf; every entry of ``provenance`` is a comment of one line."""
    kind = "figure*" if look.columns == 2 else "figure"
    told = [f"% {key}: {' '.join(value.split())}" for key, value in provenance.items()]
    lines = [
        rf"\begin{{{kind}}}[t]",
        r"  \centering",
        rf"  \includegraphics[width=\linewidth]{{{name}.pdf}}",
        rf"  \caption{{{escaped(caption)}}}",
        rf"  \label{{fig:{name}}}",
        rf"\end{{{kind}}}",
    ]
    return "\n".join([*told, *lines]) + "\n"
