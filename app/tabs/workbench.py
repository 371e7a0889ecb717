"""More, Text workbench: a class described in the user's own words, and what that does to the ranking."""

import gradio as gr

from app import html, texts
from app.controls import Controls
from app.events import PRIVATE, guarded
from app.services import Services
from app.zero_gpu import on_gpu
from ezclip.studies.analysis_report import Analysis


class Workbench:
    """The tab; ``show`` gives the new values of ``outputs``. ``edited`` fires when a sentence was changed."""

    def __init__(self, services: Services, controls: Controls, state: gr.State) -> None:
        with gr.Tab(texts.TABS["workbench"], id="workbench"):
            with gr.Row(elem_classes="ez-after"):
                self.label = gr.Dropdown([], label="Class", elem_id="edited", allow_custom_value=False)
                enter = "Press Enter; empty restores the prompt text."
                self.sentence = gr.Textbox(label="Its sentence", info=enter, elem_id="sentence", scale=2)
            self.words = gr.HTML("", elem_id="workbench-words")
            self.own = gr.HTML("", elem_id="own-sentences")
            self.ranking = gr.HTML(html.empty(texts.EMPTY_WORKBENCH), elem_id="workbench-ranking")
        self.outputs = [self.ranking, self.label, self.sentence, self.words, self.own]
        self.services = services
        chosen = [self.sentence, self.words]
        self.label.input(on_gpu(guarded(self._chosen)), [self.label, state], chosen, **PRIVATE)
        inputs = [self.label, self.sentence, controls.sentences]
        self.edited = self.sentence.submit(_edit, inputs, controls.sentences, **PRIVATE)

    def _words(self, label: str, analysis: Analysis) -> tuple[str, str]:
        """The prompt text of a class that fits the clip best for the model, and its words with their relevance."""
        from ezclip.explanation.grad_eclip import words_of_best

        best, found = {}, {}
        for r in analysis.results:
            predictor = self.services.predictor(r.name)
            encoded = self.services.encode(predictor, self.services.decoded(analysis.clip.source))
            sentences = analysis.study.prompt_texts(predictor, [label])[label]
            best[r.name], found[r.name] = words_of_best(predictor, encoded.frames, sentences)
        return best[analysis.model.name], html.words(label, found)

    def _chosen(self, label: str | None, analysis: Analysis | None) -> tuple[str, str]:
        """The prompt text of a class and its words."""
        if label is None or analysis is None:
            return "", ""
        return self._words(label, analysis)

    def show(self, analysis: Analysis, before: Analysis | None) -> list[object]:
        """Rankings with rank changes since ``before``, the classes that can be edited, words and sentences in use."""
        names = [p.label for p in analysis.model.predictions]
        own, ranked = html.own_sentences(analysis.study["sentences"]), html.ranked(analysis, before)
        if own:  # while sentences are being edited, the chosen class stays
            last = list(analysis.study["sentences"])[-1]
            return [ranked, gr.Dropdown(names), gr.skip(), self._words(last, analysis)[1], own]
        words = html.words(analysis.target, {r.name: r.words for r in analysis.results})
        return [ranked, gr.Dropdown(names, value=analysis.target), analysis.model.text, words, own]


def _edit(label: str | None, sentence: str, sentences: dict[str, str] | None) -> dict[str, str]:
    if not label:
        raise gr.Error("Analyse a clip first, then choose a class.", print_exception=False)
    kept = {name: text for name, text in (sentences or {}).items() if name != label}
    return kept | {label: sentence.strip()} if sentence.strip() else kept
