"""Faithfulness of an analysis's maps, and their heat on moving objects."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ezclip.progress import Steps, Watch, finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.faithfulness import MapFaithfulness, ground_truth_shares
from ezclip.studies.host import Host
from tests.ezclip.studies.conftest import SAMPLES


def test_truth_of_a_sample_is_recognised_by_its_content(host: Host, tmp_path: Path) -> None:
    copy = tmp_path / "renamed.mp4"
    copy.write_bytes(SAMPLES[0].read_bytes())
    analysis = finish(Analyse(str(copy)).run(host))
    for shares in ground_truth_shares(str(copy), analysis.clip, [r.attribution for r in analysis.results]):
        assert shares.moving is not None and shares.area is not None and not shares.measured
        assert 0 < shares.area < 0.6 and 0 < shares.moving < 1


@pytest.mark.slow
def test_a_measurement_does_not_disturb_an_analysis(host: Host, movie: Path) -> None:
    """The two share a model, and an analysis traces its attention."""
    analysis = finish(Analyse(str(movie), "one, two").run(host))

    def measure() -> list[MapFaithfulness]:
        def slowly() -> Steps[list[MapFaithfulness]]:
            watch = Watch(analysis.with_faithfulness(host))
            for step in watch:
                time.sleep(0.01)
                yield step
            return watch.result.faithfulness

        return finish(slowly())

    with ThreadPoolExecutor() as pool:
        measured = pool.submit(measure)
        rounds = 0
        while not measured.done() or rounds == 0:
            host._results.drop(lambda key: True)  # otherwise everything would come from the cache
            again = finish(analysis.study.run(host))
            assert again.view is not None and again.view.prompts.shape == (4, 8, 8)
            assert np.array_equal(again.model.attribution.heat, analysis.model.attribution.heat)
            rounds += 1
    assert len(measured.result()) == 2 and rounds > 1


@pytest.mark.slow
@pytest.mark.parametrize("clip", SAMPLES[:1])
def test_faithfulness_within_the_analysis(host: Host, clip: Path) -> None:
    analysis = finish(Analyse(str(clip), faithfulness=True).run(host))
    assert all(f.measured and f.moving is not None for f in analysis.faithfulness)
