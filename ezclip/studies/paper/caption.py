"""The LaTeX file of a figure: a figure environment with caption, and the provenance as comments."""

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
    """Text with LaTeX's special characters escaped."""
    return "".join(_SPECIAL.get(c, c) for c in text)


def latex(name: str, caption: str, provenance: Mapping[str, str], look: Look) -> str:
    """A figure environment for ``name``.pdf, preceded by one comment line per entry of ``provenance``."""
    environment = "figure*" if look.columns == 2 else "figure"
    comments = [f"% {key}: {' '.join(value.split())}" for key, value in provenance.items()]
    lines = [
        rf"\begin{{{environment}}}[t]",
        r"  \centering",
        rf"  \includegraphics[width=\linewidth]{{{name}.pdf}}",
        rf"  \caption{{{escaped(caption)}}}",
        rf"  \label{{fig:{name}}}",
        rf"\end{{{environment}}}",
    ]
    return "\n".join([*comments, *lines]) + "\n"
