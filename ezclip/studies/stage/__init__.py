"""The stage: a clip as it is, reversed, shuffled and static under two models, and the document that plays it."""
