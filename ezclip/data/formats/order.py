"""Lists of benchmarks on the order of frames and on shift: Chirality in Action, RTime, UCF101-DS."""

import re
from collections.abc import Sequence
from pathlib import Path

from ezclip.data.formats.listing import Options, Videos, bad_row
from ezclip.text.labels import readable, same_name

CHIRAL = {"verb_forward", "verb_reverse", "id_forward", "id_reverse"}  # columns that show the format
SHIFTED = {"label", "filename", "shift", "category"}
REVERSED = "{}_reversed"  # name of a video of RTime that its user has reversed
_NOUNS = ("noun_abstract", "noun", "noun_class")
_RENAMED = {
    "BilliardsShot": "Billiards",
    "BasketballShooting": "Basketball",
    "CleanandJerk": "CleanAndJerk",
    "Breaststroke": "BreastStroke",
}  # classes of UCF101-DS -> of UCF-101
Numbered = Sequence[tuple[int, dict[str, str]]]  # a row of a CSV file with the number of its line


def chiral(path: Path, rows: Numbered, options: Options) -> Videos:
    """Chirality in Action, chiral_groups-SET-SPLIT.csv: two verbs with one noun, and the videos of each.

    A video is listed by its id, with the other class as its partner; once for each of its classes. The noun is added to
    a verb that does not name it.
    """
    seen = set()
    for number, row in rows:
        part = {"train": "train", "validation": "test", "test": "test"}.get(row.get("split") or "")
        if options.subset not in ("all", part):
            continue
        nouns = re.findall(r"[^\[\]'\",]*\w", next((row[key] for key in _NOUNS if row.get(key)), ""))
        verbs = [(row[key] or "").strip() for key in ("verb_forward", "verb_reverse")]
        labels = [" ".join([verb, *(noun.strip() for noun in nouns if noun.strip() not in verb)]) for verb in verbs]
        if not all(verbs) or not row["id_forward"] or not row["id_reverse"]:
            raise bad_row(path, number, row, "a group with two verbs and the ids of their videos")
        for key, label, partner in (("id_forward", *labels), ("id_reverse", *labels[::-1])):
            for video in filter(None, map(str.strip, row[key].split(";"))):
                if (video, label) not in seen:
                    seen.add((video, label))
                    yield video, label, partner


def rtime(path: Path, videos: dict[str, dict[str, list[str]]]) -> Videos:
    """RTime, SPLIT.json: captions of a video forward and in reverse, which are each other's partners.

    The reversed video is not published: it is to be made under the name ``REVERSED``. Videos with the same caption in
    both directions are left out.
    """
    for number, (video, row) in enumerate(videos.items(), 1):
        try:
            forward, reverse = (row[f"{direction}_captions"][0].strip() for direction in ("forward", "reverse"))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise bad_row(path, number, row, 'a video with "forward_captions" and "reverse_captions"') from error
        if same_name(forward) != same_name(reverse):
            yield video, forward, reverse
            yield REVERSED.format(video), reverse, forward


def shifted(path: Path, rows: Numbered) -> Videos:
    """UCF101-DS, ucf101-DS_eval.csv: files label/filename; classes named as in UCF-101; the shift is the family."""
    for number, row in rows:
        if not row["label"] or not row["filename"]:
            raise bad_row(path, number, row, "a row with a label and a filename")
        label = readable(_RENAMED.get(row["label"], row["label"]))
        yield f"{row['label']}/{row['filename']}", label, None, row["shift"] or row["category"] or None
