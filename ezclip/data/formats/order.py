"""Lists of benchmarks on temporal order and distribution shift: Chirality in Action, RTime, UCF101-DS."""

import re
from collections.abc import Sequence
from pathlib import Path

from ezclip.data.formats.listing import Options, Videos, bad_row
from ezclip.text.labels import readable, same_name

CHIRAL = {"verb_forward", "verb_reverse", "id_forward", "id_reverse"}  # columns that identify the format
SHIFTED = {"label", "filename", "shift", "category"}
REVERSED = "{}_reversed"  # name of the reversed copy of an RTime video, which the user creates
_NOUNS = ("noun_abstract", "noun", "noun_class")
_RENAMED = {
    "BilliardsShot": "Billiards",
    "BasketballShooting": "Basketball",
    "CleanandJerk": "CleanAndJerk",
    "Breaststroke": "BreastStroke",
}  # classes of UCF101-DS -> of UCF-101
NumberedRows = Sequence[tuple[int, dict[str, str]]]  # rows of a CSV file with their line numbers


def chiral(path: Path, rows: NumberedRows, options: Options) -> Videos:
    """Chirality in Action, chiral_groups-SET-SPLIT.csv: groups of two verbs with one noun, and the videos of each verb.

    A video is listed by its id, once for each of its classes, with the opposite class as the partner. The noun is
    appended to verbs that do not contain it.
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
        for key, label, partner in (("id_forward", *labels), ("id_reverse", *reversed(labels))):
            for video in filter(None, map(str.strip, row[key].split(";"))):
                if (video, label) not in seen:
                    seen.add((video, label))
                    yield video, label, partner


def rtime(path: Path, videos: dict[str, dict[str, list[str]]]) -> Videos:
    """RTime, SPLIT.json: captions of a video played forward and in reverse, which are each other's partners.

    The reversed videos are not published; the user creates them with names as in ``REVERSED``. Videos with the same
    caption in both directions are skipped.
    """
    for number, (video, row) in enumerate(videos.items(), 1):
        try:
            forward, reverse = (row[f"{direction}_captions"][0].strip() for direction in ("forward", "reverse"))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise bad_row(path, number, row, 'a video with "forward_captions" and "reverse_captions"') from error
        if same_name(forward) != same_name(reverse):
            yield video, forward, reverse
            yield REVERSED.format(video), reverse, forward


def shifted(path: Path, rows: NumberedRows) -> Videos:
    """UCF101-DS, ucf101-DS_eval.csv: files label/filename, with UCF-101's class names and the shift as the family."""
    for number, row in rows:
        if not row["label"] or not row["filename"]:
            raise bad_row(path, number, row, "a row with a label and a filename")
        label = readable(_RENAMED.get(row["label"], row["label"]))
        yield f"{row['label']}/{row['filename']}", label, None, row["shift"] or row["category"] or None
