"""The paper's protocols and tables, and the study on Tabletop Motion."""
