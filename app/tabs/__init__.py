"""One file a tab: lays out and wires."""
