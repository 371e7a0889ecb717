"""Under the stage: both models' ranked class names, and a workbench for one class's sentence."""

import gradio as gr

from app import html, texts
from app.controls import Controls
from app.events import PRIVATE, guarded
from app.services import Services
from ezclip.studies.analysis_report import Analysis


class RecogniseTab:
    """The rankings; ``show`` gives the new values of ``outputs``. ``edited`` fires when a sentence was changed."""

    def __init__(self, services: Services, controls: Controls, state: gr.State) -> None:
        self.ranking = gr.HTML(html.empty(texts.EMPTY_RANKING), elem_id="ranking")
        with gr.Accordion("Text workbench: describe a class in your own words", open=False):
            with gr.Row():
                self.label = gr.Dropdown([], label="Class", elem_id="edited", allow_custom_value=False)
                enter = "Press Enter; empty restores the prompt text."
                self.sentence = gr.Textbox(label="Its sentence", info=enter, elem_id="sentence", scale=2)
            self.own = gr.HTML("", elem_id="own-sentences")
        self.outputs = [self.ranking, self.label, self.sentence, self.own]
        self.services = services
        self.label.input(guarded(self._text), [self.label, state], self.sentence, **PRIVATE)
        inputs = [self.label, self.sentence, controls.sentences]
        self.edited = self.sentence.submit(_edit, inputs, controls.sentences, **PRIVATE)

    def _text(self, label: str | None, analysis: Analysis | None) -> str:
        """The prompt text of a class, the first if there are several."""
        if label is None or analysis is None:
            return ""
        predictor = self.services.predictor(analysis.model.name)
        return analysis.study.prompt_texts(predictor, [label])[label][0]

    def show(self, analysis: Analysis, before: Analysis | None) -> list[object]:
        """Rankings with rank changes since ``before``, the classes that can be edited, the sentences in use."""
        names = [p.label for p in analysis.model.predictions]
        own, ranked = (
            html.own_sentences(analysis.study["sentences"]),
            html.source(analysis) + html.rankings(analysis, before),
        )
        if own:  # while sentences are being edited, the chosen class stays
            return [ranked, gr.Dropdown(names), gr.skip(), own]
        sentence = self._text(analysis.target, analysis)
        return [ranked, gr.Dropdown(names, value=analysis.target), sentence, own]


def _edit(label: str | None, sentence: str, sentences: dict[str, str] | None) -> dict[str, str]:
    if not label:
        raise gr.Error("Analyse a clip first, then choose a class.", print_exception=False)
    kept = {name: text for name, text in (sentences or {}).items() if name != label}
    return kept | {label: sentence.strip()} if sentence.strip() else kept
