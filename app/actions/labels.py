"""The class box: label sets, and class names in the page's address."""

from ezclip.checkpoints.catalog import own_labels
from ezclip.errors import UserError
from ezclip.studies.declaration import SET_PREFIX
from ezclip.text.labels import label_set

OWN_SET = "The model's own classes"
SET_TITLES = {
    OWN_SET: None,
    "Tabletop Motion": "tabletop",
    "UCF-101": "ucf101",
    "HMDB-51": "hmdb51",
    "Kinetics-400": "kinetics400",
    "Kinetics-600, classes new to Kinetics-400": "kinetics600_unseen",
    "Something-Something v2": "ssv2",
}
TEXTS = {
    "As the model was trained": "trained",
    "Bare names": "names",
    "16 templates": "templates",
    "Descriptions, where one ships": "descriptions",
    "Held-out paraphrases of Tabletop's classes": "paraphrases",
}


def set_text(title: str, model: str) -> str:
    """The names of a label set as the class box shows them, one per line."""
    name = SET_TITLES.get(title)
    return "\n".join(label_set(name) if name else own_labels(model))


def set_or_names(names: str, model: str) -> str:
    """Class names for a page's address: "set:TITLE" where they are a set's, which may be long."""
    try:
        return next((f"{SET_PREFIX}{title}" for title in SET_TITLES if names == set_text(title, model)), names)
    except UserError:  # a mistyped model has no classes of its own
        return names


def names_of(address: str, model: str) -> str:
    """Inverse of ``set_or_names``."""
    title = address.removeprefix(SET_PREFIX)
    return set_text(title, model) if address.startswith(SET_PREFIX) and title in SET_TITLES else address
