/* Gestures of the charts in `element`. ezCharts(element, films): `films(rows)`, if given, asks for strips of frames of
   clips, which arrive in the returned function as row -> address of a picture. */
const ezCharts = (element, films) => {
  const PICK = 14, ASKED = 6;  // pixels around a point in which it is picked; clips that are asked for at once
  const known = {}, asked = new Set();
  const show = place => {
    const uri = known[place.dataset.row ?? place.dataset.film];
    const film = place.querySelector(".ez-film");
    if (uri && film) film.style.backgroundImage = `url(${uri})`;
  };
  const ask = rows => {
    const fresh = rows.filter(row => row !== undefined && !asked.has(row)).slice(0, ASKED);
    fresh.forEach(row => asked.add(row));
    if (fresh.length) films?.(fresh.map(Number));
  };
  const waiting = () => ask([...element.querySelectorAll(".ez-clip[data-row]:not([hidden])")].map(c => c.dataset.row));
  const receive = found => {
    Object.assign(known, found);
    element.querySelectorAll(".ez-clip[data-row]:not([hidden]), .ez-hover").forEach(show);
    waiting();
  };

  function filter(box, {change, label, said, shown}) {
    Object.assign(box.dataset, {change, shown});
    const fits = c => c.dataset.change === change && (!label || c.dataset.label === label)
      && (!said || c.dataset.said === said);
    const all = [...box.querySelectorAll(".ez-clip")], found = all.filter(fits);
    all.forEach(clip => { clip.hidden = true; });
    found.slice(0, shown).forEach(clip => { clip.hidden = false; show(clip); });
    box.querySelector(".ez-more").hidden = found.length <= shown;
    box.querySelector(".ez-all").hidden = !label;
    box.querySelector(".ez-which").textContent = (label ? label + (said ? ` taken for ${said}` : "") : "All classes")
      + (found.length ? "" : ": no clip");
    box.querySelectorAll("[data-filter]").forEach(b => b.setAttribute("aria-pressed", b.dataset.filter === change));
    box.querySelectorAll(".ez-confusions").forEach(list => { list.hidden = list.dataset.of !== change; });
    box.querySelectorAll(".ez-confusions button").forEach(b => b.setAttribute("aria-pressed",
      b.dataset.label === label && b.dataset.said === said));
    element.querySelectorAll(".ez-line[data-label]").forEach(row => row.classList.toggle("ez-on",
      row.dataset.label === label));
    box.chosen = {change, label, said, shown};
    waiting();
  }
  const sorts = {
    gain: (a, b) => b.dataset.gain - a.dataset.gain,
    name: (a, b) => a.dataset.label.localeCompare(b.dataset.label),
    n: (a, b) => b.dataset.n - a.dataset.n || b.dataset.gain - a.dataset.gain,
  };
  element.addEventListener("click", event => {
    const pressed = event.target.closest("button"), box = element.querySelector(".ez-clips");
    if (!pressed) return;
    const data = pressed.dataset, start = box && +(box.first ??= box.dataset.shown);
    if (data.sort) {
      const rows = [...element.querySelectorAll(".ez-line[data-label]")].sort(sorts[data.sort]);
      rows[0]?.parentElement.querySelector(".ez-ends").before(...rows);
      element.querySelectorAll("[data-sort]").forEach(b => b.setAttribute("aria-pressed", b === pressed));
    } else if (!box) return;
    else if (data.filter) filter(box, {...box.chosen, change: data.filter, said: undefined, shown: start});
    else if (pressed.matches(".ez-confusions button"))
      filter(box, {change: data.change, label: data.label, said: data.said, shown: start});
    else if (pressed.matches(".ez-line")) {
      const has = change => [...box.querySelectorAll(".ez-clip")].some(c => c.dataset.label === data.label
        && c.dataset.change === change);
      const change = has(box.chosen.change) || !(has("fixed") || has("broken")) ? box.chosen.change
        : has("fixed") ? "fixed" : "broken";
      filter(box, {change, label: data.label, shown: start});
    } else if (pressed.matches(".ez-all")) filter(box, {change: box.chosen.change, shown: start});
    else if (pressed.matches(".ez-more")) filter(box, {...box.chosen, shown: box.chosen.shown + start});
  });
  const ready = () => {
    const box = element.querySelector(".ez-clips");
    if (!box || box.chosen) return;
    asked.clear();
    Object.keys(known).forEach(row => delete known[row]);
    filter(box, {change: "fixed", shown: +box.dataset.shown});
  };
  new MutationObserver(ready).observe(element, {childList: true, subtree: true});
  ready();

  /* The point under the pointer gets a ring, and a card above it. */
  let ringed = null, card = null;
  function nearest(event) {
    const svg = event.target.closest?.("svg.ez-plane");
    let best = null, least = PICK + .01;
    for (const point of svg ? svg.querySelectorAll(".ez-point") : []) {
      const at = point.querySelector("circle").getBoundingClientRect();
      const far = Math.hypot(at.x + at.width / 2 - event.clientX, at.y + at.height / 2 - event.clientY);
      if (far < least) [best, least] = [point, far];
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
      show(card); ask([data.film]);
    }
    const picture = data.picture && element.querySelector(`.ez-pictures [data-key="${data.picture}"]`);
    if (picture) card.append(picture.cloneNode());
    const title = document.createElement("b"), text = document.createElement("span");
    title.textContent = data.title; text.textContent = data.text;
    card.append(title, text);
    panel.append(card);
    const at = point.querySelector("circle").getBoundingClientRect(), within = panel.getBoundingClientRect();
    const left = at.x + at.width / 2 - within.x - card.offsetWidth / 2;
    card.style.left = `${Math.max(0, Math.min(within.width - card.offsetWidth, left))}px`;
    card.style.top = `${at.y - within.y - card.offsetHeight - 8}px`;
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
