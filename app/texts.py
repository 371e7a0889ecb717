"""The words of the app, in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TITLE = "EZ-CLIP"
LEAD = (
    "Drop a clip, name some actions, and compare two models on it: **base**, which looks at frames one by one, and "
    "**EZ-CLIP**, whose temporal prompts let the frames see one another. Every map says what made it."
)
LABELS_HELP = "One a line, or separated by commas. Leave empty for the model's own classes."
EMPTY_RANKING = "The ranked class names of both models appear here."
EMPTY_MAPS = "The frames and both models' attention maps appear here."
EMPTY_INFLUENCE = "How much each frame drew on the others appears here."
CANCELLED = "Cancelled. Nothing was changed; press Analyse to start again."

ABOUT = """
### How to read the pictures
**Ranking.** The percentage is a softmax over the names that you typed: it says which of *these* fits best, and some
name always wins. The *logit* is the cosine between video and text times the model's scale; it does not depend on the
other names.

**Attention maps.** Bright places are those from which the video's embedding drew (attention rollout: the attention
of all blocks multiplied through, half of every step being the skip connection). Both rows share one colour scale, so a
darker row really holds less. The four methods:
*rollout* follows attention through the frames and the prompts; *rollout-own-frame* is what each frame's class token
took from its own frame; *last-layer* is the class token's attention in the last block; *released* is the map that the
authors' code draws (last block, mean over all queries).

**Across frames.** Row t shows how much frame t drew on each other frame through the temporal prompts. The base model
has no prompts: its frames never meet, and shuffling them changes nothing.

**Spread.** Var and C (Eq. 4 and 5 of the paper) say how far apart the frames' embeddings lie. The numbers of a frozen
copy of the clip stand beside them: what is left there comes from the frames' positions, not from motion.

### What is the paper's and what is ours
The model and its losses are those of *EZ-CLIP: Efficient Zero-shot Video Action Recognition* (arXiv 2312.08010),
checked against the released code. Rollout through the prompts, the frozen-clip comparison and the models shipped here
are this project's own.

### Privacy
Clips stay on the machine that runs this app. They are deleted from its cache within about an hour, nothing is sent
elsewhere, and no history is kept in your browser.
"""


def scope(names: list[str], configs: list[dict[str, Any]]) -> str:
    """The banner: what the chosen models know, and what a real video's numbers can and cannot mean."""
    if any(name.startswith("tabletop/") for name in names):
        return (
            "**These small models know only drawn table scenes** (Tabletop Motion: things pushed, lifted, covered on a "
            "table). The sample clips are of that kind. Your own video runs just the same: its maps show where these "
            "models look and whether the order of the frames matters to them, but their ranking of real actions is "
            "close to a guess. For real actions convert the official weights: `python -m ezclip convert`."
        )
    parts = []
    for name, config in zip(names, configs, strict=True):
        data = config.get("training", {}).get("data")
        parts.append(
            f"**{name}**: " + (f"trained on {Path(data).parent.name}" if data else "its training data is not recorded")
        )
    return "; ".join(parts) + "."
