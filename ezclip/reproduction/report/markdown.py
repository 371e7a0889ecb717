"""Markdown of tables and figures."""

from tabulate import tabulate

NOT_RUN = "not run"


def percent(value: float) -> str:
    """A share in percent, with one decimal."""
    return f"{100 * value:.1f} %"


def markdown(rows: list[list[str]]) -> str:
    """Format rows of text, header first, as a Markdown table."""
    return tabulate(rows[1:], rows[0], tablefmt="github", disable_numparse=True)


def figures(*names: str) -> str:
    """The study's figures of these names."""
    return "\n\n".join(f"![{name.replace('_', ' ')}](results/tabletop/study/{name}.png)" for name in names)
