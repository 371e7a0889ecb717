/* The stage: one clip in synchronised panels, with two models' maps and answers; see ezclip/studies/stage/document.py
   for its document. ezStage(root, hooks) builds it inside an element. hooks.onSample(t) is called when another of the T
   frames is shown; hooks.onRest(doc, direction, slot) when the user selects a clip or direction (slot null) or a frame.
   The optional hooks.reads(doc, model, direction, slot, patch) resolves to the attention of a patch. */
function ezStage(root, hooks = {}) {
  const DIRECTIONS = {forward: "Forward", reversed: "Reversed", shuffled: "Shuffled", static: "Static"};
  const SPEEDS = [0.25, 0.5, 1, 2], PERCENTILES = [95, 98, 99, 100], INTERVAL = 30;  // ms between repaints
  const MORE = [255, 140, 0], LESS = [150, 70, 255];  // colours of the difference
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const state = {doc: null, direction: "forward", at: 0, playing: false, speed: 1, loop: true, wipe: 0.5, view: "panels",
    difference: true, map: 0, percentile: 99, strength: 0.85, demo: false, reads: null, sample: -1, rest: null, film: null,
    films: {}};
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children);
    return node;
  };
  const choice = (label, values, now, set, show = String) => make("label", {class: "ezs-choice"}, label + " ",
    make("select", {onchange: event => { set(values[event.target.selectedIndex]); paint(); }},
      ...values.map(value => make("option", {selected: value === now}, show(value)))));

  const directions = Object.entries(DIRECTIONS).map(([key, title]) => make("button", {type: "button", role: "radio",
    "data-direction": key, onclick: () => { state.demo = false; turn(key); }}, title));
  const verdict = make("p", {class: "ezs-verdict"});
  const panels = make("div", {class: "ezs-panels"});
  const play = make("button", {type: "button", class: "ezs-play", onclick: () => toggle()});
  const range = make("input", {type: "range", min: 0, max: 1, step: 0.001, value: 0, "aria-label": "Time in the clip",
    oninput: () => { pause(); state.at = +range.value; paint(); }});
  const ticks = make("div", {class: "ezs-ticks", "aria-hidden": "true"});
  const thumbs = make("div", {class: "ezs-thumbs"});
  const values = make("div", {class: "ezs-values", hidden: true});
  const clock = make("output", {class: "ezs-clock"});
  const readout = make("p", {class: "ezs-readout"});
  const scale = make("div", {class: "ezs-scale"});
  const inWords = make("ul"), frameInWords = make("p"), spoken = make("div", {class: "ezs-spoken"}, inWords, frameInWords);
  const viewButton = make("button", {type: "button", "aria-pressed": "false", onclick: () => {
    state.view = state.view === "panels" ? "wipe" : "panels"; layout(); }}, "Wipe");
  const differenceBox = make("input", {type: "checkbox", checked: true,
    onchange: () => { state.difference = differenceBox.checked; layout(); }});
  const maps = make("span", {class: "ezs-options"});
  const group = make("section", {class: "ezs", tabindex: 0, role: "group", onkeydown: key,
    "aria-label": "The clip with the attention and the answers of two models. Space plays, arrows step, R reverses."},
    make("div", {class: "ezs-bar"}, make("div", {class: "ezs-directions", role: "radiogroup",
      "aria-label": "Order of the frames"}, ...directions), verdict),
    panels,
    make("div", {class: "ezs-player"}, play,
      make("button", {type: "button", "aria-label": "Frame before", onclick: () => step(-1)}, "‹"),
      make("button", {type: "button", "aria-label": "Next frame", onclick: () => step(1)}, "›"),
      make("div", {class: "ezs-track"}, range, ticks), clock),
    values, thumbs,
    make("details", {class: "ezs-more"}, make("summary", {}, "Colours and speed"), make("div", {class: "ezs-options"},
      choice("Speed", SPEEDS, 1, value => state.speed = value, value => `${value}×`),
      make("label", {}, make("input", {type: "checkbox", checked: true,
        onchange: event => state.loop = event.target.checked}), " Loop"),
      make("label", {}, differenceBox, " Difference"), viewButton, maps,
      choice("Scale ends at percentile", PERCENTILES, 99, value => { state.percentile = value; limits(); legend(); }),
      make("label", {}, "Strength ", make("input", {type: "range", min: 0.2, max: 1, step: 0.05, value: 0.85,
        "aria-label": "Strength of the maps",
        oninput: event => { state.strength = +event.target.value; paint(); }})))),
    make("div", {class: "ezs-foot"}, scale, readout), spoken);
  group.classList.toggle("ezs-reads", Boolean(hooks.reads));
  root.replaceChildren(group);

  const picture = new Image();
  picture.onload = () => { thumbnails(); paint(); };
  const small = document.createElement("canvas");

  function update(doc) {
    if (!doc) return;
    Object.assign(state.films, doc.films);
    if (doc.partial) {
      if (state.doc && state.doc.key === doc.key) { Object.assign(state.doc, doc.partial); answers(); frameValues(); }
      return;
    }
    const isNew = !state.doc || state.doc.key !== doc.key;
    const keepFrames = !isNew && state.doc.frames?.label === doc.label && state.doc.models.length === doc.models.length;
    state.doc = {...doc, results: {}, frames: doc.frames || (keepFrames ? state.doc.frames : null)};
    state.film = state.films[doc.film] || null;
    if (state.film && picture.src !== state.film.picture) picture.src = state.film.picture;
    state.films = {[doc.film]: state.film};
    for (const [direction, results] of Object.entries(doc.results || {}))
      state.doc.results[direction] = results.map(result => ({...result, heat: floats(result.heat)}));
    const {direction = "forward", slot = null} = doc.start || {};
    if (isNew || doc.start) {
      state.at = 0; state.sample = -1; state.reads = null; state.demo = Boolean(doc.demo);
      state.direction = direction; state.playing = !still && slot === null;
    }
    maps.replaceChildren(choice("Colours", doc.maps.map((_, i) => i), state.map,
      value => { state.map = value; legend(); }, i => doc.maps[i].name));
    limits(); layout(); turn(state.direction, false); thumbnails(); updatePlayback();
    if (slot !== null) go(slot);
  }
  const floats = text => new Float32Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);

  /* The shared colour scale: one percentile over both models and all orders; the difference has its own. */
  function limits() {
    const values = [], apart = [];
    for (const results of Object.values(state.doc.results)) {
      for (const result of results) result.heat.forEach(value => values.push(value));
      difference(results)?.forEach(value => apart.push(Math.abs(value)));
    }
    const end = list => list.sort((a, b) => a - b)[Math.max(0, Math.ceil(list.length * state.percentile / 100) - 1)] || 1;
    state.limit = end(values); state.apart = end(apart);
  }
  function difference(results) {
    const [first, second] = results;
    if (results.length < 2 || first.heat.length !== second.heat.length) return null;
    return second.heat.map((value, i) => value - first.heat[i]);
  }

  /* The state's position in [0, 1] of the played clip -> second of the file, and the T maps to blend (share of next). */
  function moment() {
    const {doc, film, direction, at} = state, end = duration(), order = doc.orders[direction], T = order.length;
    if (direction === "shuffled" || direction === "static") {
      const slot = Math.min(T - 1, Math.floor(at * T));
      return {second: doc.seconds[order[slot]], slot, next: slot, share: 0};
    }
    const backwards = direction === "reversed", times = positions();
    const slot = Math.max(0, times.findLastIndex(time => time <= at)), next = Math.min(T - 1, slot + 1);
    const share = next > slot && at > times[slot] ? (at - times[slot]) / Math.max(1e-9, times[next] - times[slot]) : 0;
    return {second: film.seconds[0] + (backwards ? 1 - at : at) * end, slot, next, share: Math.min(1, share)};
  }
  const duration = () => Math.max(1e-3, state.film.seconds.at(-1) - state.film.seconds[0]);
  /* Positions of the T frames in the played clip, in [0, 1]. */
  function positions() {
    const {doc, direction, film} = state, order = doc.orders[direction], T = order.length;
    if (direction === "shuffled" || direction === "static") return order.map((_, slot) => (slot + 0.5) / T);
    return order.map(t => {
      const position = Math.min(1, Math.max(0, (doc.seconds[t] - film.seconds[0]) / duration()));
      return direction === "reversed" ? 1 - position : position;
    });
  }
  const nearest = second => state.film.seconds.reduce((best, time, i, all) =>
    Math.abs(time - second) < Math.abs(all[best] - second) ? i : best, 0);

  function layout() {
    const {doc} = state, models = doc.models, wipe = state.view === "wipe" && models.length > 1;
    const specs = [{kind: "clip", title: "Clip", note: doc.clip}];
    if (wipe) specs.push({kind: "wipe", title: `${models[0].name} | ${models[1].name}`, note: "drag the line"});
    else models.forEach((model, i) => specs.push({kind: "model", i, title: model.name, note: model.about}));
    const results = Object.values(doc.results)[0];
    if (state.difference && models.length > 1 && results && difference(results))
      specs.push({kind: "difference", title: "Difference", note: "orange: model, violet: baseline"});
    viewButton.setAttribute("aria-pressed", wipe);
    group.classList.toggle("ezs-wide", wipe);
    panels.replaceChildren(...specs.map(panel));
    answers(); legend(); paint();
  }
  function panel(spec) {
    const {kind, i, title, note} = spec, canvas = make("canvas", {role: "img", "aria-label": `${title}: ${note}`});
    Object.assign(canvas, {onmousemove: event => hover(event, spec), onmouseleave: () => readout.textContent = "",
      onclick: event => kind === "model" && select(event, spec)});
    if (kind === "wipe") canvas.onpointermove = event => {
      if (event.buttons) { state.wipe = event.offsetX / canvas.clientWidth; paint(); } };
    const figure = make("figure", {"data-panel": kind === "model" ? `model-${i}` : kind},
      make("figcaption", {}, make("b", {}, title), make("small", {}, note)), canvas);
    if (kind === "model") figure.append(make("div", {class: "ezs-answer", "data-model": i}));
    if (kind === "clip") figure.append(make("p", {class: "ezs-truth"}));
    return Object.assign(figure, {spec});
  }

  function answers() {
    const {doc, direction} = state, results = doc.results[direction], truth = doc.truth[direction];
    panels.querySelectorAll(".ezs-answer").forEach(box => {
      const result = results && results[+box.dataset.model];
      if (!result) { box.replaceChildren(make("p", {class: "ezs-wait"}, "computing …")); return; }
      const rows = result.answers.map((answer, i) => make("div", {class: i ? "ezs-row" : "ezs-row ezs-first"},
        make("span", {class: "ezs-label"}, ...(i || !truth ? [] : [make("i", {class: answer.label === truth ? "ezs-right"
          : "ezs-wrong", title: answer.label === truth ? "right" : "wrong"}, answer.label === truth ? "✓ " : "✗ ")]),
          answer.label),
        make("span", {class: "ezs-score"}, doc.guess ? (i ? "" : "guess") : `${Math.round(100 * answer.score)} %`),
        ...(doc.guess ? [] : [make("span", {class: "ezs-bar-of"}, make("span", {style: `width:${100 * answer.score}%`}))])));
      const trust = doc.faithfulness?.[+box.dataset.model];
      box.replaceChildren(...rows,
        ...(trust ? [make("p", {class: "ezs-trust", title: doc.trust}, faithfulness(trust))] : []));
    });
    panels.querySelector(".ezs-truth").textContent = truth ? `What happens: ${truth}` : "";
    verdict.textContent = doc.verdicts[direction] || doc.verdicts.forward || "";
    verdict.classList.toggle("ezs-guess", doc.guess);
    const describe = (truth, answer, i) => (i || !truth ? "" : answer.label === truth ? "right, " : "wrong, ") +
      answer.label + (doc.guess ? "" : ` ${Math.round(100 * answer.score)} %`);
    inWords.replaceChildren(...Object.entries(doc.results).map(([name, all]) => make("li", {}, [`${DIRECTIONS[name]}.`,
      doc.truth[name] ? `What happens: ${doc.truth[name]}.` : "", ...all.map(({answers}, i) => `${doc.models[i].name}` +
        `${doc.guess ? " guesses" : ""}: ${answers.map((a, j) => describe(doc.truth[name], a, j)).join("; ")}.`),
      ...(name === "forward" ? (doc.faithfulness || []).map((trust, i) => `Faithfulness of ${doc.models[i].name}: ${trust}.`)
        : [])].filter(Boolean).join(" "))));
  }
  /* Faithfulness is measured only for the maps of the forward clip. */
  const faithfulness = trust => state.direction === "forward" ? `Faithfulness: ${trust}`
    : `Faithfulness forward ${trust.replace("gain ", "")}`;
  /* Describes the maps of the current frame for screen readers: the brightest patch of each. */
  function peaks() {
    const {doc, direction, sample} = state, order = doc.orders[direction];
    const sentences = (doc.results[direction] || []).map((result, i) => {
      const g = doc.models[i].grid, map = result.heat.subarray(sample * g * g, (sample + 1) * g * g);
      const peak = map.indexOf(Math.max(...map));
      return `${doc.models[i].name}: brightest in row ${Math.floor(peak / g) + 1}, column ${peak % g + 1} of ${g}, ` +
        `${map[peak].toFixed(2)} ${doc.unit}.`;
    });
    frameInWords.textContent = [`Frame ${sample + 1} of ${order.length}.`, ...sentences].join(" ");
  }

  function legend() {
    const {doc} = state, stops = doc.maps[state.map].colours.map(rgb => `rgb(${rgb})`).join(",");
    const ramp = colours => make("span", {class: "ezs-ramp", style: `background:linear-gradient(90deg,${colours})`});
    const apart = state.apart.toPrecision(2);
    scale.replaceChildren(make("span", {}, "0"), ramp(stops),
      make("span", {}, `${state.limit.toPrecision(2)} ${doc.unit}, one scale for all models`),
      ...(panels.querySelector("[data-panel=difference]") ? [make("span", {}, `; difference −${apart}`),
        ramp(`rgb(${LESS}), transparent, rgb(${MORE})`), make("span", {}, `+${apart}`)] : []));
  }

  function thumbnails() {
    if (!state.doc || !state.film) return;
    const {doc, film} = state, times = positions(), order = doc.orders[state.direction];
    ticks.replaceChildren(...times.map(time => make("i", {style: `left:${100 * time}%`})));
    thumbs.replaceChildren(...order.map((t, slot) => {
      const canvas = make("canvas", {width: Math.round(64 * film.width / film.height), height: 64});
      tile(canvas.getContext("2d"), nearest(doc.seconds[t]), canvas.width, canvas.height);
      return make("button", {type: "button", "data-slot": slot, onclick: () => { pause(); go(slot); },
        "aria-label": `Frame ${slot + 1} of ${order.length}, ${doc.seconds[t].toFixed(2)} seconds`}, canvas);
    }));
    state.sample = -1;
  }
  /* Shapley values of the frames in order, one bar per model, on one scale; a dot if the frame alone is correct. */
  function frameValues() {
    const {doc, direction} = state, frames = doc.frames;
    values.hidden = !frames || direction !== "forward";
    if (values.hidden) return;
    const all = frames.models.flatMap(model => model.values.flatMap((v, t) => [v - (model.margin?.[t] ?? 0),
      v + (model.margin?.[t] ?? 0)])), high = Math.max(0, ...all), low = Math.min(0, ...all), span = high - low || 1;
    const top = v => `${100 * (high - v) / span}%`, colour = i => i === frames.models.length - 1 ? "second" : "first";
    const signed = v => (v < 0 ? "−" : "+") + Math.abs(v).toFixed(3);
    const describe = (model, i, t) => `${doc.models[i].name}: ${signed(model.values[t])}` + (model.margin ?
      ` ± ${model.margin[t].toFixed(3)}` : "") + (model.alone[t] ? ", this frame alone ranks the label first" : "");
    values.replaceChildren(
      make("p", {}, make("b", {}, `Shapley values of the frames for “${frames.label}”, by ${frames.game}. `), frames.meaning),
      make("p", {class: "ezs-key"}, ...frames.models.map((model, i) => make("span", {class: `ezs-${colour(i)}`},
        make("i", {}), ` ${doc.models[i].name}, sum ${signed(model.all)}`)), make("span", {}, make("i", {class: "ezs-alone"}),
        " this frame alone ranks the label first"),
        make("span", {}, `scale ${signed(low)} to ${signed(high)}`)),
      make("div", {class: "ezs-bars"}, ...frames.models[0].values.map((_, t) => make("div", {"data-frame": t,
        title: `Frame ${t + 1}. ` + frames.models.map((model, i) => describe(model, i, t)).join("; ")},
        make("hr", {style: `top:${top(0)}`}), ...frames.models.map((model, i) => {
          const v = model.values[t], margin = model.margin?.[t];
          const range = (from, to) => `top:${top(to)};bottom:calc(100% - ${top(from)})`;
          return make("span", {class: `ezs-${colour(i)}`}, make("i", {style: range(Math.min(0, v), Math.max(0, v))}),
            ...(margin ? [make("u", {style: range(v - margin, v + margin)})] : []),
            ...(model.alone[t] ? [make("b", {class: "ezs-alone", style: `top:${top(Math.max(0, v))}`})] : []));
        })))));
  }
  function tile(context, index, width, height) {
    if (!picture.complete || !picture.naturalWidth) return;
    const {film} = state, column = index % film.columns, row = Math.floor(index / film.columns);
    context.drawImage(picture, column * film.width, row * film.height, film.width, film.height, 0, 0, width, height);
  }

  function paint() {
    if (!state.doc || !state.film) return;
    const now = moment(), index = nearest(now.second), {film} = state;
    for (const figure of panels.children) {
      const canvas = figure.querySelector("canvas"), width = film.width, height = film.height;
      if (canvas.width !== width || canvas.height !== height) {
        Object.assign(canvas, {width, height});
        canvas.style.maxWidth = `calc(max(39vh, 300px) * ${width / height})`;
      }
      const context = canvas.getContext("2d");
      tile(context, index, width, height);
      const results = state.doc.results[state.direction], {kind, i} = figure.spec;
      if (!results || kind === "clip") continue;
      if (kind === "model") heat(context, i, now, results[i].heat);
      else if (kind === "difference") heat(context, 0, now, difference(results), true);
      else {
        const line = state.wipe * width;
        for (const [side, from, to] of [[0, 0, line], [1, line, width]]) {
          context.save(); context.beginPath(); context.rect(from, 0, to - from, height); context.clip();
          heat(context, side, now, results[side].heat); context.restore();
        }
        context.fillStyle = "#fff"; context.fillRect(line - 1, 0, 2, height);
      }
    }
    range.value = state.at;
    clock.textContent = `${now.second.toFixed(2)} s`;
    Object.assign(group.dataset, {frame: index, slot: now.slot, shown: state.direction});
    const shown = now.share > 0.5 ? now.next : now.slot;
    if (shown !== state.sample) {
      state.sample = shown;
      thumbs.querySelectorAll("button").forEach((button, slot) => button.classList.toggle("ezs-on", slot === shown));
      peaks();
      hooks.onSample?.(state.doc.orders[state.direction][shown]);
    }
    const rest = [state.doc.film, state.direction, state.playing ? null : shown];
    if (!(state.demo && state.playing) && String(rest) !== String(state.rest)) {
      state.rest = rest;
      hooks.onRest?.(state.doc, rest[1], rest[2]);
    }
  }
  /* Draws a map over a panel; opacity is proportional to the heat, so that the frame stays visible. */
  function heat(context, i, now, values, signed = false) {
    const model = state.doc.models[i], g = model.grid, size = g * g;
    const reads = state.reads && state.reads.model === i ? state.reads : null;
    const from = reads ? reads.heat : values, limit = reads ? reads.limit : signed ? state.apart : state.limit;
    const colours = state.doc.maps[state.map].colours, data = new ImageData(g, g);
    for (let p = 0; p < size; p++) {
      const value = (1 - now.share) * from[now.slot * size + p] + now.share * from[now.next * size + p];
      const part = Math.min(1, Math.abs(value) / limit);
      const rgb = signed ? (value > 0 ? MORE : LESS) : colours[Math.round(part * (colours.length - 1))];
      data.data.set([...rgb, 255 * state.strength * part], 4 * p);
    }
    if (small.width !== g) Object.assign(small, {width: g, height: g});
    small.getContext("2d").putImageData(data, 0, 0);
    const [left, top, right, bottom] = model.box, {width, height} = state.film;
    context.drawImage(small, left * width, top * height, (right - left) * width, (bottom - top) * height);
    if (reads && now.slot === reads.slot) {
      const w = (right - left) * width / g, h = (bottom - top) * height / g;
      context.strokeStyle = "#fff"; context.lineWidth = 2;
      context.strokeRect(left * width + (reads.patch % g) * w, top * height + Math.floor(reads.patch / g) * h, w, h);
    }
  }

  function patchAt(event, i) {
    const model = state.doc.models[i], [left, top, right, bottom] = model.box, canvas = event.target;
    const x = (event.offsetX / canvas.clientWidth - left) / (right - left);
    const y = (event.offsetY / canvas.clientHeight - top) / (bottom - top);
    if (x < 0 || y < 0 || x >= 1 || y >= 1) return -1;
    return Math.floor(y * model.grid) * model.grid + Math.floor(x * model.grid);
  }
  function hover(event, spec) {
    const results = state.doc.results[state.direction];
    if (!results || spec.kind === "clip") return;
    const i = spec.kind === "model" ? spec.i : 0, patch = patchAt(event, i), g = state.doc.models[i].grid;
    if (patch < 0) { readout.textContent = "outside what the model sees"; return; }
    const slot = state.sample, values = spec.kind === "difference" ? difference(results) : results[i].heat;
    const value = values[slot * g * g + patch], sign = spec.kind === "difference" && value > 0 ? "+" : "";
    readout.textContent = `frame ${slot + 1}, row ${Math.floor(patch / g) + 1}, column ${patch % g + 1}: ` +
      `${sign}${value.toFixed(2)} ${state.doc.unit}`;
  }
  async function select(event, {i}) {
    const patch = patchAt(event, i), slot = state.sample;
    if (state.reads || patch < 0 || !hooks.reads) { state.reads = null; readout.textContent = ""; paint(); return; }
    pause(); go(slot);
    const reply = await hooks.reads(state.doc, i, state.direction, slot, patch);
    if (!reply?.heat) { readout.textContent = reply?.text ?? ""; return; }
    const values = floats(reply.heat);
    state.reads = {model: i, slot, patch, heat: values, limit: Math.max(...values) || 1};
    readout.textContent = reply.text + " Click again to return.";
    paint();
  }

  function turn(direction, restart = true) {
    state.direction = direction; state.reads = null;
    if (restart) state.at = 0;
    for (const button of directions) {
      const checked = button.dataset.direction === direction;
      button.setAttribute("aria-checked", checked); button.tabIndex = checked ? 0 : -1;
    }
    thumbnails(); answers(); frameValues(); legend(); paint();
  }
  function go(slot) { state.at = positions()[slot]; paint(); }
  function step(by) {
    state.demo = false; pause();
    go(Math.min(state.doc.orders[state.direction].length - 1, Math.max(0, state.sample + by)));
  }
  const updatePlayback = () => {
    play.textContent = state.playing ? "❚❚" : "▶";
    play.setAttribute("aria-label", state.playing ? "Pause" : "Play");
    cancelAnimationFrame(frame);
    if (state.playing) frame = requestAnimationFrame(tick);
  };
  function pause() { state.playing = false; updatePlayback(); }
  function toggle() { state.playing = !state.playing; updatePlayback(); }
  let last = 0, frame = 0;
  function tick(time) {
    if (!state.playing || !group.isConnected) return;
    frame = requestAnimationFrame(tick);
    if (time - last < INTERVAL) return;
    const elapsed = Math.min(0.1, (time - last) / 1000);
    last = time;
    if (group.offsetParent !== null && state.film) {
      state.at += elapsed * state.speed / Math.max(1, duration());
      if (state.at >= 1) {
        state.at = 0;
        if (state.demo && state.doc.results.reversed) turn(state.direction === "forward" ? "reversed" : "forward");
        else if (!state.loop) { state.at = 1; pause(); }
      }
      paint();
    }
  }
  function key(event) {
    const at = directions.indexOf(event.target);
    const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (at >= 0 && by) {
      const next = directions.at((at + by) % directions.length);
      event.preventDefault(); next.focus(); next.click();
      return;
    }
    if (!state.doc || ["SELECT", "INPUT"].includes(event.target.tagName) && event.key !== "r") return;
    const actions = {" ": toggle, ArrowLeft: () => step(-1), ArrowRight: () => step(1), Escape: () => {
      state.reads = null; readout.textContent = ""; paint(); },
      r: () => { state.demo = false; turn(state.direction === "reversed" ? "forward" : "reversed"); }};
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || event.target.tagName === "BUTTON" && event.key === " ") return;
    event.preventDefault(); action();
  }
  return {update, turn, state, go: t => { if (state.doc) { pause(); go(state.doc.orders[state.direction].indexOf(t)); } }};
}
