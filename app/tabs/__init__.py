"""Layout and handlers of the tabs, one file per tab."""
