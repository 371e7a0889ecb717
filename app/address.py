"""JavaScript that runs when the page loads; it keeps the choices and the open tab in the URL."""

import json

from app import texts

OLD_TABS = {"evidence": "motion", "recognise": "see", "attention": "see"}
# Store the choices in the page's URL, so that it can be shared.
REMEMBER = """(labels, baseline, model) => { const u = new URL(location);
    for (const [k, v] of Object.entries({labels, baseline, model}))
        v && v.length < 1500 ? u.searchParams.set(k, v) : u.searchParams.delete(k);
    history.replaceState(null, '', u) }"""
# Open the tab named in the URL, in the browser, so that quick choices stay in order.
OPEN_TAB = """() => { const tab = new URL(location).searchParams.get('tab') || 'see';
    const update = values => ({__type__: 'update', ...values});
    return [update({selected: tab}), update({value: FIRST.includes(tab) ? tab : 'more'})] }""".replace(
    "FIRST", json.dumps(texts.FIRST)
)
ON_LOAD = """() => {
    const old = OLD_TABS, u = new URL(location), name = u.searchParams.get('tab');
    if (old[name]) { u.searchParams.set('tab', old[name]); history.replaceState(null, '', u) }
    // The URL determines the open tab: a click changes the URL first, Back and Forward click the radio.
    addEventListener('input', ({target}) => {
        if (!target.matches('.ez-tabs input')) return;
        const more = document.querySelector('#choose-more input:checked'), u = new URL(location);
        const tab = target.value == 'more' ? more.value : target.value;
        if ((u.searchParams.get('tab') || 'see') == tab) return;
        u.searchParams.set('tab', tab); history.pushState(null, '', u) }, true);
    addEventListener('popstate', () => {
        const radio = value => document.querySelector(`.ez-tabs input[value="${value}"]`);
        const input = radio(new URL(location).searchParams.get('tab') || 'see');
        (input?.checked ? radio('more') : input)?.click() });
    // Gradio fetches 32 MB for trimming with every clip; delay them until a click on the trim button.
    const nativeFetch = window.fetch, trimming = new Promise(resolve => addEventListener('click', ({target}) =>
        target.closest('[aria-label^="Trim video"]') && resolve(), true));
    window.fetch = async (resource, options) => {
        if (String(resource?.url ?? resource).includes('/static/ffmpeg/')) await trimming;
        return nativeFetch(resource, options) };
    // Gradio gives each radio button a different name; a shared name lets the arrow keys move between them.
    new MutationObserver(() => document.querySelectorAll('.ez-tabs').forEach(box =>
        box.querySelectorAll('input').forEach(input => { if (input.name != box.id) input.name = box.id })))
        .observe(document.querySelector('.gradio-container'), {subtree: true, childList: true}) }""".replace(
    "OLD_TABS", json.dumps(OLD_TABS)
)
