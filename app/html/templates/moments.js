/* Fetches a strip of frames for each card with `strip`, one after the other, and caches it; calls `like(row)` on a click
   on "like this". */
const ezMoments = (element, strip, like) => {
  const cache = {};
  let latest = 0;
  const fill = async () => {
    const run = ++latest;
    for (const film of element.querySelectorAll("[data-film]")) {
      const key = film.dataset.film;
      cache[key] ??= await strip(JSON.parse(key));
      if (run !== latest) return;
      film.style.backgroundImage = `url(${cache[key]})`;
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
