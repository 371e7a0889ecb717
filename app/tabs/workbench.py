"""Tab: describe a class in the user's own words and compare the rankings."""

import gradio as gr

from app import html, texts
from app.controls import Controls
from app.events import PRIVATE, guarded
from app.services import Services
from app.zero_gpu import on_gpu
from ezclip.studies.analysis_report import Analysis


class Workbench:
    """The tab; ``show`` returns the values of ``outputs``, and ``edited`` fires after a sentence was changed."""

    def __init__(self, services: Services, controls: Controls, state: gr.State) -> None:
        with gr.Tab(texts.TABS["workbench"], id="workbench"):
            with gr.Row(elem_classes="ez-after"):
                self.label = gr.Dropdown([], label="Class", elem_id="edited", allow_custom_value=False)
                enter = "Press Enter; empty restores the prompt text."
                self.sentence = gr.Textbox(label="Its sentence", info=enter, elem_id="sentence", scale=2)
            self.words = gr.HTML("", elem_id="workbench-words")
            self.sentences = gr.HTML("", elem_id="own-sentences")
            self.ranking = gr.HTML(html.empty(texts.EMPTY_WORKBENCH), elem_id="workbench-ranking")
        self.outputs = [self.ranking, self.label, self.sentence, self.words, self.sentences]
        self.services = services
        outputs = [self.sentence, self.words]
        self.label.input(on_gpu(guarded(self._choose)), [self.label, state], outputs, **PRIVATE)
        inputs = [self.label, self.sentence, controls.sentences]
        self.edited = self.sentence.submit(_edit, inputs, controls.sentences, **PRIVATE)

    def _words(self, label: str, analysis: Analysis) -> tuple[str, str]:
        """The best-matching prompt text of a class for the model, and the relevance of its words for every model."""
        from ezclip.explanation.grad_eclip import best_sentence_words

        best, relevance = {}, {}
        for r in analysis.results:
            predictor = self.services.predictor(r.name)
            encoded = self.services.encode(predictor, self.services.cached_clip(analysis.clip.source))
            sentences = analysis.study.prompt_texts(predictor, [label])[label]
            best[r.name], relevance[r.name] = best_sentence_words(predictor, encoded.frames, sentences)
        return best[analysis.model.name], html.words(label, relevance)

    def _choose(self, label: str | None, analysis: Analysis | None) -> tuple[str, str]:
        """The prompt text of the chosen class and its words."""
        if label is None or analysis is None:
            return "", ""
        return self._words(label, analysis)

    def show(self, analysis: Analysis, before: Analysis | None) -> list[object]:
        """Rankings with rank changes since ``before``, the editable classes, words, and sentences in use."""
        names = [p.label for p in analysis.model.predictions]
        custom, ranked = html.custom_sentences(analysis.study["sentences"]), html.ranked(analysis, before)
        if custom:  # keep the chosen class while sentences are edited
            last = list(analysis.study["sentences"])[-1]
            return [ranked, gr.Dropdown(names), gr.skip(), self._words(last, analysis)[1], custom]
        words = html.words(analysis.target, {r.name: r.words for r in analysis.results})
        return [ranked, gr.Dropdown(names, value=analysis.target), analysis.model.text, words, custom]


def _edit(label: str | None, sentence: str, sentences: dict[str, str] | None) -> dict[str, str]:
    if not label:
        raise gr.Error("Analyse a clip first, then choose a class.", print_exception=False)
    others = {name: text for name, text in (sentences or {}).items() if name != label}
    return others | {label: sentence.strip()} if sentence.strip() else others
