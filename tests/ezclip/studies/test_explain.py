"""Maps to files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ezclip.explanation.shapley import FrameValues, Shapley
from ezclip.progress import finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.explain import Explain, _words
from ezclip.studies.host import Host
from tests.ezclip.studies.conftest import SAMPLES


def test_maps_of_model_and_baseline(host: Host, movie: Path, tmp_path: Path) -> None:
    result = finish(Explain(str(movie), label=" moving Something up ").run(host))
    answer = result.as_json()
    assert answer["label"] == "Moving something up" and answer["baseline"] == "tabletop/base"
    np.testing.assert_allclose(np.sum(answer["influence"], axis=1), 1, atol=1e-5)
    assert set(answer["scores"]) == {"tabletop/ezclip", "tabletop/base"} and answer["faithfulness"] is None
    files = result.write(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"strip.png", "influence.png", "maps.npz"}
    maps = np.load(files["maps"])
    assert maps["heat_0"].shape == maps["heat_1"].shape == (8, 12, 12)
    assert list(maps["models"]) == ["tabletop/ezclip", "tabletop/base"], "the model first"


def test_a_new_label_joins_the_class_names(host: Host, movie: Path) -> None:
    result = finish(Explain(str(movie), label="juggling", baseline="", method="last-layer").run(host))
    assert result.as_json()["label"] == "juggling" and len(result.analysis.names) == 32
    assert result.as_json()["baseline"] is None and result.as_json()["influence"] is None


def test_everything_requested_is_printed_and_written(host: Host, movie: Path, tmp_path: Path) -> None:
    study = Explain(str(movie), "moving something up, moving something down", baseline="", words=True, tokens=True)
    result = finish(study.run(host))
    game = Shapley(np.array([0.2, -0.1]), np.array([0.05, 0.05]), 0.1)
    values = {result.analysis.model.name: FrameValues(game, None, ["a", "b"], "a")}
    result = replace(result, study=result.study.replace(faithfulness=True), shapley=values)
    files, text = result.write(tmp_path), result.text()
    assert {"proof", "words", "shapley", "tokens"} <= set(files) and all(path.is_file() for path in files.values())
    first = json.loads(files["shapley.json"].read_text())[0]
    assert (first["readout"], first["± 95 %"], first["removal"]) == (0.2, 0.05, None)
    words = [row["word"] for row in json.loads(files["words.json"].read_text())]
    assert " ".join(words) == result.analysis.target
    assert text.startswith(result.analysis.verdict)
    assert all(f"{table.title}:" in text for table in result.tables) and all(f"  {word}  " in text for word in words)
    names = [part.name for part in result.report().parts]
    assert names.count("words") == names.count("proof") == 1 and {"shapley", "tokens"} <= set(names)


@pytest.mark.slow
def test_faithfulness_of_both_maps(host: Host, movie: Path) -> None:
    measures = finish(Explain(str(movie), "a, b", faithfulness=True).run(host)).as_json()["faithfulness"]
    assert set(measures) == {"tabletop/ezclip", "tabletop/base"}
    for row in measures.values():
        assert (row["deletion_gain"], row["insertion_gain"]) == (
            row["score"]["deletion"][0],
            row["score"]["insertion"][0],
        )
        assert all(
            -1 <= low < value < high <= 1 for value, low, high in (row["score"]["deletion"], row["score"]["insertion"])
        )


@pytest.mark.slow
def test_shapley_values_of_frames_and_relevance_of_words(host: Host, movie: Path) -> None:
    study = Explain(str(movie), "moving something up, moving something down", shapley=True, words=True, tokens=True)
    maps = finish(study.run(host))
    answer, tables = maps.as_json(), {part.name: part for part in maps.report().parts}
    norms = answer["tokens"]["tabletop/ezclip"]
    assert len(norms["layers"]) == len(norms["prompts"]) == 4 and norms["layers"][0]["high"] is None
    assert answer["tokens"]["tabletop/base"]["register"] is None and isinstance(norms["register"], bool)
    assert len(tables["tokens"].rows) == 8 and len(tables["shapley"].rows) == 16
    assert finish(Explain(str(movie), "a, b", baseline="").run(host)).as_json()["shapley"] is None
    model, base = answer["shapley"]["tabletop/ezclip"], answer["shapley"]["tabletop/base"]
    assert base["removal"] == base["readout"] and model["removal"] != model["readout"]
    for game in (model["removal"], model["readout"], base["readout"]):
        assert sum(game["values"]) == pytest.approx(game["all"], abs=1e-6) and game["margin"] is None
    assert model["any_frame"] == (answer["label"] in model["answers_of_single_frames"])
    (sentence,) = answer["words"]["tabletop/ezclip"]
    assert sentence["text"] == answer["label"] and [word for word, _ in sentence["words"]] == sentence["text"].split()


def test_the_text_that_fits_the_clip_best_is_explained(host: Host) -> None:
    """In the analysis alone and after the maps; it is not the first of the prompt texts."""
    labels = "moving something up, moving something down"
    result = finish(Analyse(str(SAMPLES[0]), labels, texts="templates").run(host))
    tables = {part.name: part for part in result.report().parts}
    for name, document in result.as_json()["models"].items():
        predictor = host.predictor(name)
        encoded, texts = host.encode(predictor, result.clip), result.study.prompt_texts(predictor, [result.target])
        video, sentences = encoded.frames.float().mean(dim=1), texts[result.target]
        best = sentences[int(torch.cosine_similarity(video, predictor.encode_texts(sentences)).argmax())]
        assert document["text"] == best != sentences[0]
        assert "".join(row["word"] for row in document["words"]) == best.lower().replace(" ", "")
        assert {row[1] for row in tables["words"].rows if row[0] == name} == {best}
        listed = [row["text"] for row in _words(predictor, encoded, sentences)]
        assert listed[0] == best and set(listed) == set(sentences)
