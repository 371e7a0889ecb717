"""What the page runs when it loads, first of all its address: it stores the choices and says which tab is open."""

import json

from app import texts

OLD_TABS = {"evidence": "motion", "recognise": "see", "attention": "see"}
# The page's URL stores the choices, so that it can be shared.
REMEMBER = """(labels, baseline, model) => { const u = new URL(location);
    for (const [k, v] of Object.entries({labels, baseline, model}))
        v && v.length < 1500 ? u.searchParams.set(k, v) : u.searchParams.delete(k);
    history.replaceState(null, '', u) }"""
# Opens the tab that the address names, in the browser, so that quick choices stay in order.
OPEN_TAB = """() => { const tab = new URL(location).searchParams.get('tab') || 'see';
    const update = values => ({__type__: 'update', ...values});
    return [update({selected: tab}), update({value: FIRST.includes(tab) ? tab : 'more'})] }""".replace(
    "FIRST", json.dumps(texts.FIRST)
)
ON_LOAD = """() => {
    const old = OLD_TABS, u = new URL(location), named = u.searchParams.get('tab');
    if (old[named]) { u.searchParams.set('tab', old[named]); history.replaceState(null, '', u) }
    // The address says which tab is open: a choice changes it first, and Back and Forward make the choice.
    addEventListener('input', ({target}) => {
        if (!target.matches('.ez-tabs input')) return;
        const more = document.querySelector('#choose-more input:checked'), u = new URL(location);
        const tab = target.value == 'more' ? more.value : target.value;
        if ((u.searchParams.get('tab') || 'see') == tab) return;
        u.searchParams.set('tab', tab); history.pushState(null, '', u) }, true);
    addEventListener('popstate', () => {
        const radio = value => document.querySelector(`.ez-tabs input[value="${value}"]`);
        const one = radio(new URL(location).searchParams.get('tab') || 'see');
        (one?.checked ? radio('more') : one)?.click() });
    // Gradio fetches 32 MB for trimming with every clip; they wait for a click on its button.
    const fetched = window.fetch, trimming = new Promise(go => addEventListener('click', ({target}) =>
        target.closest('[aria-label^="Trim video"]') && go(), true));
    window.fetch = async (what, how) => {
        if (String(what?.url ?? what).includes('/static/ffmpeg/')) await trimming;
        return fetched(what, how) };
    // Gradio gives each radio button a name of its own; with one name, the arrow keys go through them.
    new MutationObserver(() => document.querySelectorAll('.ez-tabs').forEach(box =>
        box.querySelectorAll('input').forEach(one => { if (one.name != box.id) one.name = box.id })))
        .observe(document.querySelector('.gradio-container'), {subtree: true, childList: true}) }""".replace(
    "OLD_TABS", json.dumps(OLD_TABS)
)
