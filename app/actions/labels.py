"""The class box: label sets, and class names in the page's URL."""

from ezclip.checkpoints.catalog import training_labels
from ezclip.errors import UserError
from ezclip.studies.declaration import SET_PREFIX
from ezclip.text.labels import label_set

MODEL_SET = "The model's own classes"
SET_TITLES = {
    MODEL_SET: None,
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


def label_set_text(title: str, model: str) -> str:
    """The names of a label set, one per line, as in the class box."""
    name = SET_TITLES.get(title)
    return "\n".join(label_set(name) if name else training_labels(model))


def names_to_address(names: str, model: str) -> str:
    """Class names for the URL: "set:TITLE" if they are those of a set, which may be long."""
    try:
        return next((f"{SET_PREFIX}{title}" for title in SET_TITLES if names == label_set_text(title, model)), names)
    except UserError:  # an unknown model
        return names


def names_from_address(address: str, model: str) -> str:
    """Inverse of ``names_to_address``."""
    title = address.removeprefix(SET_PREFIX)
    return label_set_text(title, model) if address.startswith(SET_PREFIX) and title in SET_TITLES else address
