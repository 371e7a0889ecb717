/* Gestures of the charts in `element`. The optional `films(rows)` requests strips of frames of clips; pass the response,
   row -> data URI, to the returned function. */
const ezCharts = (element, films) => {
  const PICK_RADIUS = 14, BATCH = 6;  // pixels around a point; clips per request
  const strips = {}, requested = new Set();
  const show = card => {
    const uri = strips[card.dataset.row ?? card.dataset.film];
    const film = card.querySelector(".ez-film");
    if (uri && film) film.style.backgroundImage = `url(${uri})`;
  };
  const request = rows => {
    const batch = rows.filter(row => row !== undefined && !requested.has(row)).slice(0, BATCH);
    batch.forEach(row => requested.add(row));
    if (batch.length) films?.(batch.map(Number));
  };
  const requestVisible = () =>
    request([...element.querySelectorAll(".ez-clip[data-row]:not([hidden])")].map(c => c.dataset.row));
  const receive = response => {
    Object.assign(strips, response);
    element.querySelectorAll(".ez-clip[data-row]:not([hidden]), .ez-hover").forEach(show);
    requestVisible();
  };

  function filter(box, {change, label, answer, shown}) {
    Object.assign(box.dataset, {change, shown});
    const matches = c => c.dataset.change === change && (!label || c.dataset.label === label)
      && (!answer || c.dataset.answer === answer);
    const clips = [...box.querySelectorAll(".ez-clip")], matching = clips.filter(matches);
    clips.forEach(clip => { clip.hidden = true; });
    matching.slice(0, shown).forEach(clip => { clip.hidden = false; show(clip); });
    box.querySelector(".ez-more").hidden = matching.length <= shown;
    box.querySelector(".ez-all").hidden = !label;
    box.querySelector(".ez-which").textContent = (label ? label + (answer ? ` taken for ${answer}` : "") : "All classes")
      + (matching.length ? "" : ": no clip");
    box.querySelectorAll("[data-filter]").forEach(b => b.setAttribute("aria-pressed", b.dataset.filter === change));
    box.querySelectorAll(".ez-confusions").forEach(list => { list.hidden = list.dataset.of !== change; });
    box.querySelectorAll(".ez-confusions button").forEach(b => b.setAttribute("aria-pressed",
      b.dataset.label === label && b.dataset.answer === answer));
    element.querySelectorAll(".ez-line[data-label]").forEach(row => row.classList.toggle("ez-on",
      row.dataset.label === label));
    box.chosen = {change, label, answer, shown};
    requestVisible();
  }
  const sorts = {
    gain: (a, b) => b.dataset.gain - a.dataset.gain,
    name: (a, b) => a.dataset.label.localeCompare(b.dataset.label),
    n: (a, b) => b.dataset.n - a.dataset.n || b.dataset.gain - a.dataset.gain,
  };
  element.addEventListener("click", event => {
    const pressed = event.target.closest("button"), box = element.querySelector(".ez-clips");
    if (!pressed) return;
    const data = pressed.dataset, pageSize = box && +(box.pageSize ??= box.dataset.shown);
    if (data.sort) {
      const rows = [...element.querySelectorAll(".ez-line[data-label]")].sort(sorts[data.sort]);
      rows[0]?.parentElement.querySelector(".ez-ends").before(...rows);
      element.querySelectorAll("[data-sort]").forEach(b => b.setAttribute("aria-pressed", b === pressed));
    } else if (!box) return;
    else if (data.filter) filter(box, {...box.chosen, change: data.filter, answer: undefined, shown: pageSize});
    else if (pressed.matches(".ez-confusions button"))
      filter(box, {change: data.change, label: data.label, answer: data.answer, shown: pageSize});
    else if (pressed.matches(".ez-line")) {
      const has = change => [...box.querySelectorAll(".ez-clip")].some(c => c.dataset.label === data.label
        && c.dataset.change === change);
      const change = has(box.chosen.change) || !(has("fixed") || has("broken")) ? box.chosen.change
        : has("fixed") ? "fixed" : "broken";
      filter(box, {change, label: data.label, shown: pageSize});
    } else if (pressed.matches(".ez-all")) filter(box, {change: box.chosen.change, shown: pageSize});
    else if (pressed.matches(".ez-more")) filter(box, {...box.chosen, shown: box.chosen.shown + pageSize});
  });
  const ready = () => {
    const box = element.querySelector(".ez-clips");
    if (!box || box.chosen) return;
    requested.clear();
    Object.keys(strips).forEach(row => delete strips[row]);
    filter(box, {change: "fixed", shown: +box.dataset.shown});
  };
  new MutationObserver(ready).observe(element, {childList: true, subtree: true});
  ready();

  /* The point nearest to the pointer gets a ring and a card above it. */
  let ringed = null, card = null;
  function nearest(event) {
    const svg = event.target.closest?.("svg.ez-plane");
    let best = null, minimum = PICK_RADIUS + .01;
    for (const point of svg ? svg.querySelectorAll(".ez-point") : []) {
      const rect = point.querySelector("circle").getBoundingClientRect();
      const distance = Math.hypot(rect.x + rect.width / 2 - event.clientX, rect.y + rect.height / 2 - event.clientY);
      if (distance < minimum) [best, minimum] = [point, distance];
    }
    return best;
  }
  function ring(point) {
    if (point === ringed) return;
    ringed?.classList.remove("ez-ringed"); card?.remove();
    ringed = point; card = null;
    if (!point) return;
    point.classList.add("ez-ringed");
    const data = point.dataset, panel = point.closest(".ez-panel");
    card = document.createElement("div");
    card.className = "ez-hover";
    if (data.film !== undefined) {
      card.dataset.film = data.film;
      const film = document.createElement("span");
      film.className = "ez-film";
      card.append(film);
      show(card); request([data.film]);
    }
    const picture = data.picture && element.querySelector(`.ez-pictures [data-key="${data.picture}"]`);
    if (picture) card.append(picture.cloneNode());
    const title = document.createElement("b"), text = document.createElement("span");
    title.textContent = data.title; text.textContent = data.text;
    card.append(title, text);
    panel.append(card);
    const rect = point.querySelector("circle").getBoundingClientRect(), bounds = panel.getBoundingClientRect();
    const left = rect.x + rect.width / 2 - bounds.x - card.offsetWidth / 2;
    card.style.left = `${Math.max(0, Math.min(bounds.width - card.offsetWidth, left))}px`;
    card.style.top = `${rect.y - bounds.y - card.offsetHeight - 8}px`;
  }
  element.addEventListener("mousemove", event => ring(nearest(event)));
  element.addEventListener("mouseleave", () => ring(null));
  element.addEventListener("focusin", event => ring(event.target.closest(".ez-point")));
  element.addEventListener("focusout", () => ring(null));
  element.addEventListener("keydown", event => {
    if (event.key === "Escape") ring(null);
    const point = event.target.closest(".ez-point[data-t]");
    if (point && event.key === "Enter") point.dispatchEvent(new MouseEvent("click", {bubbles: true}));
  });
  element.addEventListener("click", event => {
    const point = event.isTrusted && nearest(event);
    if (!point || point.contains(event.target)) return;
    event.stopPropagation();
    point.dispatchEvent(new MouseEvent("click", {bubbles: true}));
  }, true);
  for (const [type, on] of [["mouseover", true], ["mouseout", false]])
    element.addEventListener(type, event => event.target.closest(".ez-clip[data-row]")?.classList.toggle("ez-playing", on));
  return receive;
};
