/* ezMoments(element, strip, like): a strip of frames for each card, fetched one after the other by `strip` and kept;
   `like(row)` is called where that is pressed. */
const ezMoments = (element, strip, like) => {
  const known = {};
  let turn = 0;
  const fill = async () => {
    const mine = ++turn;
    for (const film of element.querySelectorAll("[data-film]")) {
      const key = film.dataset.film;
      known[key] ??= await strip(JSON.parse(key));
      if (mine !== turn) return;
      film.style.backgroundImage = `url(${known[key]})`;
    }
  };
  element.addEventListener("click", event => {
    const data = event.target.closest("button")?.dataset;
    if (data?.like) like(+data.like);
    if (data && "all" in data)
      event.target.closest("section").querySelectorAll("input").forEach(box => { box.checked = true; });
  });
  for (const [type, on] of [["mouseover", true], ["mouseout", false], ["focusin", true], ["focusout", false]])
    element.addEventListener(type, event => event.target.closest(".ez-clip")?.classList.toggle("ez-playing", on));
  new MutationObserver(fill).observe(element, {childList: true, subtree: true});
  fill();
};
