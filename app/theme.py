"""Colours, fonts and the style sheet; all fonts ship with Gradio, nothing is fetched."""

import gradio as gr

THEME = gr.themes.Soft(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["Source Sans Pro", "ui-sans-serif", "system-ui", "sans-serif"],
    font_mono=["IBM Plex Mono", "ui-monospace", "monospace"],
)

CSS = """
.gradio-container { max-width: 1400px !important; margin: 0 auto !important; }
#banner { border-left: 4px solid var(--primary-500); padding: 4px 12px; background: var(--background-fill-secondary); }
#status p { margin: 0; }
.ez-empty { color: var(--body-text-color-subdued); padding: 32px 12px; text-align: center; }
.ez-warning { border-left: 4px solid #d97706; padding: 2px 10px; margin: 6px 0; }
.ez-pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); gap: 20px; }
.ez-pair h3, .ez-strip h3 { margin: 0 0 6px; font-size: 1rem; color: var(--body-text-color); }
.ez-pair h3 small { font-weight: normal; color: var(--body-text-color-subdued); }
.ez-row { margin: 0 0 8px; color: var(--body-text-color); }
.ez-row .ez-name { display: flex; justify-content: space-between; gap: 10px; line-height: 1.25; }
.ez-row .ez-name span:first-child { overflow-wrap: anywhere; }
.ez-row .ez-number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.ez-row .ez-number small { color: var(--body-text-color-subdued); }
.ez-bar { height: 8px; border-radius: 4px; background: var(--border-color-primary); margin-top: 3px; overflow: hidden; }
.ez-bar div { height: 100%; border-radius: 4px; background: var(--primary-500); }
.ez-strip { overflow-x: auto; color: var(--body-text-color); --heat: 0.6; padding-bottom: 6px; }
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
.ez-table, .ez-table * { border: 0 !important; }
.ez-table tr { border-bottom: 1px solid var(--border-color-primary) !important; }
.ez-table th, .ez-table td { padding: 4px 8px; text-align: right; }
.ez-table th:first-child, .ez-table td:first-child { text-align: left; overflow-wrap: anywhere; }
.ez-scroll { overflow-x: auto; }
"""
