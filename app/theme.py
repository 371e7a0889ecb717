"""Colours, fonts and the style sheet; all fonts ship with Gradio."""

import gradio as gr

from app import html
from ezclip.figures.stage import style

THEME = gr.themes.Soft(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["Source Sans Pro", "ui-sans-serif", "system-ui", "sans-serif"],
    font_mono=["IBM Plex Mono", "ui-monospace", "monospace"],
).set(  # enough contrast
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_label_text_color="*primary_700",
    block_title_text_color="*primary_700",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    color_accent="*primary_600",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_dark="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_hover_dark="*primary_700",
    button_secondary_background_fill_hover_dark="*primary_700",
)

CSS = (
    """
.gradio-container { width: 100%; max-width: 1900px !important; margin: 0 auto !important; overflow: clip !important; }
.gradio-container > .main, .gradio-container > .main > .wrap { padding: 4px 8px !important; }
.gradio-container .column.gap, .gradio-container .contain > .column { gap: 8px; }
#tabs .tabitem { padding: 0; border: 0; }
#stage { padding-top: 2px; }
#lead { padding: 0 !important; }
#banner { border-left: 4px solid var(--primary-500); padding: 4px 12px; background: var(--background-fill-secondary); }
#lead h1 { display: inline; margin: 0 10px 0 0; } #lead p { display: inline; }
#inputs { gap: 12px; align-items: flex-start; }
#clip { height: 132px !important; min-height: 0; }
#clip video, #clip .upload-container { max-height: 96px; }
#clip .upload-container .wrap { min-height: 0; }
#own { position: relative; }
#gif { position: absolute; right: 6px; bottom: 6px; z-index: 1; width: auto; padding: 2px 8px; font-size: .75rem; }
#run { gap: 6px; }
#run #status { font-size: .9rem; }
#run > .block:has(> button.label-wrap) { padding: 6px 10px !important; }
#inputs:has(.ez-fold > .label-wrap.open) { flex-wrap: wrap; }
#run:has(.ez-fold > .label-wrap.open) { flex-basis: 100%; }
/* Hide the actions on an analysis until there is one. */
.gradio-container:not(:has(#ranking .ez-pair)) .ez-after { display: none; }
#frames-told:has(.prose:empty) { display: none; }
.ez-outdated { display: block; border-left: 4px solid #d97706; padding-left: 8px; font-weight: 600; }
.gradio-container:has(#status .ez-outdated) :is(
  #stage, #ranking, #strip, #faithfulness, #influence, #spread) { opacity: .4; }
.ez-stale { padding: 0 !important; } .ez-stale:has(.ez-outdated) + * { opacity: .4; }
.gradio-container:has(#status .ez-busy) :is(#ranking, #strip, #faithfulness) { opacity: .4; }
/* Cancel buttons are visible only while a job runs; for those of the tabs see app.events.cancel_button_css. */
button[id$="-cancel"], #cancel { display: none; }
#run:has(#status .ez-busy) #cancel, #run:has(.translucent) #cancel, #run:has(.generating) #cancel {
  display: inline-flex; }
#tabs > .tab-wrapper { display: none; }
.ez-tabs .wrap { gap: 4px; }
.ez-tabs { padding: 0; border: 0; background: none; box-shadow: none; }
.ez-tabs label { padding: 6px 11px; box-shadow: none; background: none; border: 0; border-radius: 0;
  border-bottom: 3px solid transparent; color: var(--body-text-color); }
.ez-tabs label.selected { border-bottom-color: var(--primary-600); font-weight: 600; }
.ez-tabs label:has(:focus-visible) { outline: 2px solid var(--primary-500); }
.ez-tabs input { position: absolute; opacity: 0; }
.ez-tabs label span { margin: 0; }
#choose-more { display: none; }
.gradio-container:has(#choose-tab input[value=more]:checked) #choose-more { display: block; }
.ez-samples { display: flex; gap: 8px; overflow: auto hidden; padding: 2px 2px 8px; align-items: stretch;
  scrollbar-width: thin; contain: inline-size; }
.ez-sample { flex: 0 0 84px; display: flex; flex-direction: column; gap: 3px; font-size: .78rem; line-height: 1.1;
  text-align: left; color: var(--body-text-color); cursor: pointer; background: none; border: 0; padding: 0; }
.ez-sample span { display: block; width: 84px; height: 84px; border-radius: 6px; background-size: 672px 84px;
  outline: 1px solid var(--border-color-primary); }
.ez-sample:hover span, .ez-sample:focus-visible span { outline: 2px solid var(--primary-500); }
.ez-playing span { animation: ez-play 1s steps(8) infinite; }
@keyframes ez-play { to { background-position-x: -672px; } }
@media (prefers-reduced-motion: reduce) { .ez-playing span { animation: none; } }
@media (max-width: 640px) {  /* so that the stage starts on the first screen of a phone */
  #lead p { display: none; }
  #inputs, #run { gap: 6px; }
  #run { flex-flow: row wrap !important; }
  #run > * { flex: 1 1 100%; }
  #run > .block:has(> button.label-wrap) { flex: 1 1 40%; min-width: 0; }
  #run > .block:has(> button.label-wrap.open) { flex-basis: 100%; }
  #clip { height: 120px !important; }
  #clip video, #clip .upload-container { max-height: 84px; }
  #clip .upload-container { padding-top: 24px; }
  #samples { padding: 0; }
  .ez-sample { flex-basis: 64px; width: 64px; font-size: .7rem; }
  .ez-sample span { width: 64px; height: 64px; background-size: 512px 64px; }
  .ez-tabs label { padding: 5px 6px; }
}
.ez-samples-wrong { flex: 0 0 auto; writing-mode: vertical-rl; transform: rotate(180deg); text-align: right;
  font-size: .78rem; color: var(--body-text-color-subdued); border-right: 2px solid #d97706; padding: 2px 3px; }
.ez-empty { color: var(--body-text-color-subdued); padding: 32px 12px; text-align: center; }
.ez-warning { border-left: 4px solid #d97706; padding: 2px 10px; margin: 6px 0; }
.ez-pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); gap: 20px; }
.gradio-container h2 { font-size: 1.05rem !important; }
.ez-pair h2, .ez-strip h2 { margin: 0 0 6px; font-size: 1rem; color: var(--body-text-color); }
.ez-pair h2 small { font-weight: normal; color: var(--body-text-color-subdued); }
.ez-row { margin: 0 0 8px; color: var(--body-text-color); }
.ez-row .ez-name { display: flex; justify-content: space-between; gap: 10px; line-height: 1.25; }
.ez-row .ez-name span:first-child { overflow-wrap: anywhere; }
.ez-row .ez-number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.ez-row .ez-number small { color: var(--body-text-color-subdued); }
.ez-bar { height: 8px; border-radius: 4px; background: var(--border-color-primary); margin-top: 3px; overflow: hidden; }
.ez-bar div { height: 100%; border-radius: 4px; background: var(--primary-500); }
.ez-strip, .ez-scroll { overflow-x: auto; contain: inline-size; }
.ez-strip { color: var(--body-text-color); --heat: 0.6; padding-bottom: 6px; }
.ez-strip table { border-spacing: 3px; border-collapse: separate; width: 100%; margin: 0; border: 0 !important; }
.ez-strip table * { border-color: transparent !important; }
.ez-strip th { font-weight: 600; font-size: .85rem; text-align: left; padding: 0 6px 0 0; min-width: 84px;
  max-width: 130px; overflow-wrap: anywhere; position: sticky; left: 0; z-index: 2;
  background: var(--background-fill-primary); }
.ez-strip thead td { font-size: .8rem; text-align: center; color: var(--body-text-color-subdued); padding: 0; }
.ez-strip tbody td { padding: 0; min-width: 84px; }
.ez-cell { position: relative; aspect-ratio: 1; border-radius: 4px; overflow: hidden; }
.ez-cell img { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; }
.ez-cell img.ez-heat { opacity: var(--heat); }
.ez-scale { display: flex; align-items: center; gap: 8px; font-size: .8rem; flex-wrap: wrap; margin-top: 6px;
  color: var(--body-text-color-subdued); }
.ez-scale div { flex: 0 1 220px; height: 12px; border-radius: 3px; }
.ez-table { border-collapse: collapse; width: 100%; color: var(--body-text-color); font-size: .9rem; }
.ez-table, .ez-matrix, .ez-time, :is(.ez-table, .ez-matrix, .ez-time) * { border: 0 !important; }
.ez-table tr { border-bottom: 1px solid var(--border-color-primary) !important; }
.ez-table th, .ez-table td { padding: 4px 8px; text-align: left; vertical-align: top; }
.ez-table td.ez-n { white-space: nowrap; font-variant-numeric: tabular-nums; }
.ez-table td:first-child { white-space: nowrap; }
.ez-card th { font-weight: 600; width: 90px; } .ez-card { margin-bottom: 8px; }
.ez-offers a { color: var(--body-text-color) !important; }
.ez-offers td { min-width: 110px; } .ez-offers td:nth-child(3) { white-space: nowrap; }
.ez-offers td:first-child, .ez-offers td:nth-child(2) { white-space: normal;
  min-width: 190px; overflow-wrap: anywhere; }
.ez-button, .ez-link { cursor: pointer; color: var(--body-text-color); }
.ez-button { padding: 2px 10px; border-radius: 6px; border: 1px solid var(--border-color-primary) !important;
  background: var(--background-fill-secondary); }
.ez-link { background: none; border: 0; padding: 0; text-decoration: underline; font-weight: 600; }
.ez-note, .ez-progress { color: var(--body-text-color-subdued); font-size: .9rem; }
.ez-source { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; }
.ez-source img { width: 48px; height: 48px; border-radius: 4px; margin: 0; }
.ez-progress { padding: 16px 12px; }
.ez-strip td.ez-on .ez-cell { outline: 3px solid var(--primary-500); }
.ez-matrix tr[data-t] { cursor: pointer; }
.ez-matrix tr.ez-on > *, .ez-time td.ez-on { box-shadow: inset 0 0 0 3px var(--body-text-color); }
.ez-matrix, .ez-time { border-collapse: separate; border-spacing: 2px; font-size: .8rem;
  color: var(--body-text-color); }
.ez-matrix th { font-weight: normal; white-space: nowrap; padding: 0 4px; text-align: center; }
.ez-matrix th img { width: 44px; height: 44px; display: inline-block; border-radius: 3px; vertical-align: middle; }
.ez-matrix td { width: 62px; min-width: 52px; height: 44px; text-align: center; padding: 0; }
.ez-matrix td.ez-own { background: var(--background-fill-secondary); color: var(--body-text-color-subdued); }
.ez-legend { display: flex; flex-wrap: wrap; gap: 4px 14px; margin-bottom: 10px; font-size: .85rem;
  color: var(--body-text-color); }
.ez-legend i { display: inline-block; width: 12px; height: 12px; border-radius: 6px; margin-right: 5px; }
.ez-verdict { font-size: 1.05rem; color: var(--body-text-color); padding-left: 1.2rem; list-style: disc; }
.ez-frames { display: flex; flex-wrap: wrap; gap: 4px; margin-bottom: 10px; }
.ez-frames img { width: 84px; border-radius: 4px; }
.ez-gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(128px, 1fr)); gap: 10px; }
.ez-choice { display: flex; flex-direction: column; gap: 2px; text-align: left; padding: 8px; border-radius: 8px;
  border: 1px solid var(--border-color-primary); background: var(--background-fill-secondary);
  color: var(--body-text-color); cursor: pointer; font-weight: normal; }
div.ez-choice { cursor: default; }
button.ez-choice:hover, .ez-choice:focus-visible { border-color: var(--primary-500); outline: none;
  box-shadow: 0 0 0 2px var(--primary-500); }
.ez-choice img { width: 100%; aspect-ratio: 1; border-radius: 4px; margin: 0; }
.ez-choice b::first-letter { text-transform: uppercase; }
.ez-choice small { flex: 1 0 auto; min-height: 2.6em; color: var(--body-text-color-subdued); }
.ez-choice .ez-row { margin: 2px 0 0; font-size: .85rem; }
.ez-time th { text-align: left; min-width: 150px; max-width: 220px; font-weight: 600; position: sticky; left: 0;
  z-index: 1; background: var(--background-fill-primary); overflow-wrap: anywhere; }
.ez-time td { min-width: 74px; white-space: nowrap; text-align: center; padding: 2px; cursor: pointer; }
.ez-time td img { width: 72px; height: 72px; max-width: none; border-radius: 3px; margin: 0; display: inline-block; }
.ez-time td.ez-won { font-weight: 700; outline: 2px solid var(--primary-500); }
.ez-time button { color: var(--body-text-color); }
"""
    + html.asset("charts.css")
    + style()
)
