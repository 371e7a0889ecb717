"""One file per tab: layout and handlers."""
