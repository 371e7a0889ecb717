"""The document of a stage."""

from pathlib import Path

from ezclip.progress import finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.host import Host
from ezclip.studies.stage.document import stage


def test_the_unit_of_a_signed_map_says_that_its_positive_part_plays(host: Host, movie: Path) -> None:
    units = [stage(finish(Analyse(str(movie), "a, b", method=m).run(host)))["unit"] for m in ("motion-only", "rollout")]
    assert "positive part" in units[0] and units[1] == "× uniform"
