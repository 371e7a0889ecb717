"""The texts of the app, in one place."""

from html import escape

from ezclip.checkpoints.cards import MEANING, SCOPE, training_summary
from ezclip.checkpoints.catalog import SHIPPED
from ezclip.explanation.methods import METHODS
from ezclip.types import Document

TITLE = "EZ-CLIP"
LEAD = "Does a video model see **motion**, or only appearance?"
TABS = {
    "see": "See",
    "motion": "Test motion",
    "classes": "Compare classes",
    "embeddings": "Frame embeddings",
    "across": "Across frames",
    "ood": "Out of distribution",
    "long": "Long video and live",
    "workbench": "Text workbench",
    "collection": "Collections",
    "models": "Models",
    "about": "About",
}
LOCAL_TABS = ("collection", "models")  # only on a local server
FIRST = ("see", "motion", "classes")  # the other tabs are under More
LABELS_HELP = "One per line, or separated by commas. Leave empty for the model's own classes."
TYPED = "From the list, or type a folder, clip:ARCH/TAG or hf:organisation/name (may be downloaded), then Enter."
TEMPLATE = "From the list, or your own template with {} for the name, such as: a video of {}"
CUT = "The player shows this file without its last {:.0f} seconds; the analysis reads all of it."
TARGET = "Used by the faithfulness scores below and by maps “of the label”; the other maps do not depend on it."
MODELS = (
    "Real models, fetched only when you press a button: from the Hugging Face Hub, GitHub and Google Drive. A download "
    "that broke off is continued; it goes on while this page is closed. Afterwards choose the model under Advanced."
)
STATIC_BIAS = {  # version -> how the clip is modified, and how to read a high accuracy
    "original": "The ordinary clip, to compare with.",
    "background_only": "The moving things are removed; HAT, background only. High is bad.",
    "stripes": "SCUBA (arXiv 2211.12883): the moving things alone, on still stripes. High is good.",
    "still_stripes": "SCUFO (arXiv 2211.12883): one frame of that, repeated. High is bad.",
    "conflicting_foreground": "SCUBA (arXiv 2211.12883), with still things from a clip of another class. High is good.",
    "action_swap": "HAT, action swap: the moving things in the scene of a clip of another class. High is good.",
}
BEST_FRAME = "Correct from the best single frame: an upper bound for what needs no motion."
EMPTY_RANKING = "All class names and maps, frame by frame, appear here once you choose or drop a clip."
EMPTY_WORKBENCH = "Analyse a clip first; then any of its classes can be described in your own words here."
EMPTY_INFLUENCE = "The influence of each frame on the others appears here."
CANCELLED = "Cancelled. Earlier results stay; press Analyse to start again."

_MAPS = "; ".join(f"*{method.title}* {method.summary} ({method.source})" for method in METHODS.values())
ABOUT = f"""
## How to read the figures
**Ranking.** The percentage is a softmax over the class names that you typed: it shows which of *these* fits best, and
some name always wins. The *logit* is the cosine between video and text times the model's scale; it does not depend on
the other names.

**Attention maps.** Bright places are the most relevant by the chosen method; the gains below the maps measure whether
the score depends on them. All rows share one colour scale, so a darker row really has less heat. *Difference maps* are
violet or orange on a scale that is symmetric around zero.
{_MAPS}.

**Gains under the maps.** Patches are removed (deletion) or restored (insertion) in the order of the map and in random
orders; the gain is the area between the two curves of the label's score, with the 95 % interval that 16 random orders
leave. An interval that holds 0 is no better than chance. SRG (symmetric relevance gain, arXiv 2401.06654) is the area
of insertion minus that of deletion. The logit has no ceiling: read it where a blank clip already scores high.

**Frames and words.** Shapley values of the frames are the element Shapley values of *Play Fair* (arXiv 2011.12372);
the relevance of words is Grad-ECLIP's (arXiv 2502.18816).

**Across frames.** Row t shows how much frame t attends to each other frame through the temporal prompts. The base model
has no prompts: its frames exchange no information, and shuffling them changes nothing.

**Spread and phantom motion.** Var and C (Eq. 4 and 5 of the paper) measure how far apart the frames' embeddings lie.
The values of a static copy of the clip are shown next to them: spread that remains comes from the frames' positions
alone.

**Frame embeddings.** One point per frame, both models in one fit. t-SNE and UMAP keep neighbours, not distances;
trustworthiness measures how well.

**Test motion.** Scores are of the model's top label for the original clip, and of its opposite; *map change* is the
fraction of the map's heat that moved, frame by frame. A model that is blind to order keeps all of them when frames are
shuffled.

**Compare classes.** Each row goes from the baseline's accuracy to the model's; the band is the 95 % interval of the
change. A clip is *fixed* where only the model is right, *broken* where only the baseline is; *margin* is the score of
a clip's class minus the best other score. In the map each point is one clip, numbered by its class; the *silhouette*
(-1 to 1) measures how well a model separates the classes.

**Long video.** One column per window: the middle frame with its heat, and the scores of the labels that won most often;
the winner of each window is outlined.

**Intervals** are 95 % bootstrap intervals over clips, or Wilson intervals for a single class; the p of a
comparison is from McNemar's test, on the clips that only one of the two models got right.

## From the paper, and from this project
The model and its losses are those of *EZ-CLIP: Efficient Zero-shot Video Action Recognition* ([arXiv
2312.08010](https://arxiv.org/abs/2312.08010)), checked against the [released
code](https://github.com/Shahzadnit/EZ-CLIP). Rollout through the prompts, the comparison with static copies, the motion
test, the benchmark and the models shipped here are this project's own. The shipped models were trained on Tabletop
Motion, videos drawn by this project; no family under *More, Out of distribution* was among them.

## Privacy
Clips stay on the machine that runs this app. Their files are deleted within about an hour, recently decoded frames stay
in memory until evicted, nothing is sent elsewhere, and no history is kept in your browser.

## Versions
"""


def scope(cards: list[Document]) -> str:
    """The banner, as HTML: the training data of the chosen models, and the limitations of the small ones."""
    names = [card["name"] for card in cards]
    small = [name for name in names if name.startswith(SHIPPED)]
    parts = []
    if small:
        subject = "These small models were" if len(small) == len(names) else f"{' and '.join(small)} was"
        parts.append(
            f"<strong>{escape(subject)} trained only on {SCOPE}</strong>, like the sample clips. {MEANING} For real "
            "actions get another model: <code>python -m ezclip models --all</code>."
        )
    for card in cards:
        if card["name"] not in small:
            plain = "plain CLIP, which was trained on image-text pairs and encodes frames one by one"
            data = plain if card["variant"] == "clip" else training_summary(card) or "its training data is not recorded"
            parts.append(f"<strong>{escape(card['name'])}</strong>: {escape(data)}.")
    return " ".join(parts)
