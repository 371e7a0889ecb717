"""The words of the app, in one place."""

from __future__ import annotations

from html import escape
from typing import Any

from ezclip.checkpoints.cards import KNOWN, MEANING, trained_on

TITLE = "EZ-CLIP"
LEAD = (
    "Drop a clip, name some actions, and compare two models on it: **base**, which looks at frames one by one, and "
    "**EZ-CLIP**, whose temporal prompts let the frames see one another. Every map says what made it."
)
TABS = {
    "recognise": "Recognise",
    "attention": "Attention",
    "across": "Across frames",
    "embeddings": "Frame embeddings",
    "evidence": "Motion evidence",
    "classes": "Classes",
    "ood": "Out of distribution",
    "long": "Long video and live",
    "about": "About",
}
LABELS_HELP = "One a line, or separated by commas. Leave empty for the model's own classes."
TYPED = "From the list, or type a folder, clip:ARCH/TAG or hf:organisation/name (may be downloaded), then Enter."
TEMPLATE = "From the list, or your own template with {} for the name, such as: a video of {}"
CUT = "The player shows this file without its last {:.0f} seconds; the analysis reads all of it."
TARGET = "Asked by the gains below and by maps “of the label”; the other maps are the same for all labels."
EMPTY_RANKING = "The ranked class names of both models appear here."
EMPTY_MAPS = "The frames and both models' attention maps appear here."
EMPTY_INFLUENCE = "How much each frame drew on the others appears here."
CANCELLED = "Cancelled. What was found before stays; press Analyse to start again."

ABOUT = """
## How to read the pictures
**Ranking.** The percentage is a softmax over the names that you typed: it says which of *these* fits best, and some
name always wins. The *logit* is the cosine between video and text times the model's scale; it does not depend on the
other names.

**Attention maps.** Bright places are those from which the video's embedding drew. All rows share one colour scale, so a
darker row really holds less. *Rollout* multiplies the attention of all blocks through frames and prompts, half of every
step being the skip connection; *own frame only* is what each frame's class token took from its own frame; *last layer*
is the class token's attention in the last block; *the release's map* is what the authors' code draws (last block, mean
over all queries). The others ask what speaks for the chosen label: *gradient rollout* weighs attention by the label's
gradient, *Grad-CAM* weighs the channels before the last block, *integrated gradients* go from the clip's mean colour to
the clip, *occlusion* covers cells of 2x2 patches.

**Gains under the maps.** Patches are taken away (deletion) or put back (insertion) in the order of the map and in
random orders; the gain is the area between the two curves of the label's score. Around 0 the map is no better than
chance.

**Across frames.** Row t shows how much frame t drew on each other frame through the temporal prompts. The base model
has no prompts: its frames never meet, and shuffling them changes nothing.

**Spread and phantom motion.** Var and C (Eq. 4 and 5 of the paper) say how far apart the frames' embeddings lie. The
numbers of a frozen copy of the clip stand beside them: what is left there comes from the frames' positions alone.

**Frame embeddings.** One point a frame, both models in one fit. t-SNE and UMAP keep neighbours, not distances;
trustworthiness says how well they did.

**Motion evidence.** Score and rank are of the label that the model gave the clip as it is; *map changes* is the share
of the map's heat that moved, frame by frame. A model that is blind to order keeps all of them when frames are shuffled.

**Classes.** The chart has what each class gains or loses; a confusion is fixed where only the second model is right.
In the map of videos each point is one clip, numbered by its class; the *silhouette* (-1 to 1) says how well a model
keeps the classes apart. *Difference maps* are violet or orange on a scale that is the same to both sides of zero.

**Long video.** One column a window: the middle frame with its heat, and the scores of the labels that won most often;
the winner of each window is outlined.

**Intervals** are 95 % bootstrap intervals over clips, those of a single class's accuracy Wilson's; the p of a
comparison is McNemar's, on the clips that only one of the two models got right.

## What is the paper's and what is ours
The model and its losses are those of *EZ-CLIP: Efficient Zero-shot Video Action Recognition* ([arXiv
2312.08010](https://arxiv.org/abs/2312.08010)), checked against the [released
code](https://github.com/Shahzadnit/EZ-CLIP). Rollout through the prompts, the frozen-clip comparison, the motion
evidence, the benchmark and the models shipped here are this project's own. The shipped models were trained on
Tabletop Motion, videos drawn by this project; no family of the tab *Out of distribution* was among them.

## Privacy
Clips stay on the machine that runs this app. Their files are deleted within about an hour, the frames that were last
looked at stay in memory until others take their place, nothing is sent elsewhere, and no history is kept in your
browser.

## Versions
"""


def scope(cards: list[dict[str, Any]]) -> str:
    """The banner, as HTML: what the chosen models know, and what a real video's numbers can and cannot mean."""
    names = [card["name"] for card in cards]
    small = [name for name in names if name.startswith("tabletop/")]
    parts = []
    if small:
        who = "These small models know" if len(small) == len(names) else f"{' and '.join(small)} knows"
        parts.append(
            f"<strong>{escape(who)} only {KNOWN}</strong>, like the sample clips. {MEANING} For real actions "
            "convert the official weights: <code>python -m ezclip convert</code>."
        )
    for card in cards:
        if card["name"] not in small:
            plain = "plain CLIP, which was trained on pictures with texts and looks at frames one by one"
            told = plain if card["variant"] == "clip" else trained_on(card) or "what it was trained on is not recorded"
            parts.append(f"<strong>{escape(card['name'])}</strong>: {escape(told)}.")
    return " ".join(parts)
