
"use strict";
(() => {
  const BATCH = 60;
  const CHIPS = 3;
  const NONE = Symbol("pictures without masks");
  const SVG = "http://www.w3.org/2000/svg";
  const byId = (id) => document.getElementById(id);
  const pictures = JSON.parse(byId("data").textContent);
  const percent = (score) => `${Math.round(score * 100)}%`;
  const tints = new Map();
  const state = { category: null, search: "", score: 0, sort: "name", shown: [], drawn: 0, at: -1, opener: null };

  /** Text only ever becomes text: names of files and categories may hold HTML. */
  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  /** A path from the dataset as a URL: file names may hold characters that mean something in one. */
  const url = (path) => path.split("/").map(encodeURIComponent).join("/");

  function tinted(made, category) {
    made.style.setProperty("--tint", tints.get(category));
    return made;
  }

  function countCategories() {
    const counts = new Map();
    for (const picture of pictures) {
      for (const mask of picture.masks) counts.set(mask.category, (counts.get(mask.category) || 0) + 1);
    }
    const names = [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
    // The golden angle keeps neighbouring hues far apart however many there are.
    names.forEach(([name], i) => tints.set(name, `hsl(${(i * 137.508 + 200) % 360} 90% 58%)`));
    return names;
  }

  const masksOf = (picture) => picture.masks.filter(
    (mask) => mask.score >= state.score && (typeof state.category !== "string" || mask.category === state.category));

  function matches(picture) {
    if (state.category === NONE) { if (picture.masks.length) return false; }
    else if ((state.category !== null || state.score > 0) && !masksOf(picture).length) return false;
    const wanted = state.search.toLowerCase();
    return !wanted || picture.name.toLowerCase().includes(wanted)
      || picture.masks.some((mask) => mask.category.toLowerCase().includes(wanted));
  }

  const best = (picture, of) => Math.max(-1, ...masksOf(picture).map(of));
  const orders = {
    name: () => 0,
    "score-down": (a, b) => best(b, (m) => m.score) - best(a, (m) => m.score),
    "score-up": (a, b) => best(a, (m) => m.score) - best(b, (m) => m.score),
    masks: (a, b) => masksOf(b).length - masksOf(a).length,
    area: (a, b) => best(b, (m) => m.area) - best(a, (m) => m.area),
  };

  function outlines(picture, masks, fit) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${picture.width} ${picture.height}`);
    svg.setAttribute("preserveAspectRatio", `xMidYMid ${fit}`);
    svg.setAttribute("aria-hidden", "true");
    for (const mask of [...masks].sort((a, b) => b.area - a.area)) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", mask.outline);
      path.setAttribute("class", "outline");
      mask.path = tinted(path, mask.category);
      svg.append(path);
    }
    return svg;
  }

  function describe(picture, masks) {
    const found = masks.map((mask) => `${mask.category} ${percent(mask.score)}`).join(", ");
    return `${picture.name}: ${found || "no masks"}`;
  }

  function card(picture, index) {
    const item = element("li", "card");
    const button = element("button");
    const frame = element("div", "picture");
    const image = element("img");
    const masks = masksOf(picture);
    button.type = "button";
    image.loading = "lazy";
    image.decoding = "async";
    image.alt = describe(picture, masks);
    image.src = url(picture.thumbnail);
    frame.append(image, outlines(picture, masks, "slice"));
    const caption = element("div", "caption");
    const name = element("span", "file", picture.name);
    name.title = picture.name;
    const chips = element("span", "chips");
    for (const mask of masks.slice(0, CHIPS)) chips.append(chip(mask));
    if (masks.length > CHIPS) chips.append(element("span", "chip quiet", `+${masks.length - CHIPS}`));
    if (!masks.length) chips.append(element("span", "chip quiet", "no masks"));
    caption.append(name, chips);
    button.append(frame, caption);
    button.addEventListener("click", () => open(index, button));
    item.append(button);
    return item;
  }

  function chip(mask) {
    const made = tinted(element("span", "chip"), mask.category);
    made.append(element("span", "dot"), element("span", "label", mask.category), element("span", "count", percent(mask.score)));
    return made;
  }

  function drawMore() {
    const upTo = Math.min(state.drawn + BATCH, state.shown.length);
    const batch = document.createDocumentFragment();
    for (; state.drawn < upTo; state.drawn++) batch.append(card(state.shown[state.drawn], state.drawn));
    byId("grid").append(batch);
  }

  function refresh() {
    state.shown = pictures.filter(matches).sort(orders[state.sort]);
    state.drawn = 0;
    byId("grid").replaceChildren();
    drawMore();
    byId("none").hidden = state.shown.length > 0;
    const masks = state.shown.reduce((sum, picture) => sum + masksOf(picture).length, 0);
    byId("shown").textContent = `${state.shown.length.toLocaleString("en")} pictures, ${masks.toLocaleString("en")} masks`;
    watch.unobserve(byId("more"));
    watch.observe(byId("more"));
    remember();
  }

  /** The filters are kept in the address, so that a reload or a link shows the same. */
  function remember() {
    const kept = new URLSearchParams();
    if (typeof state.category === "string") kept.set("category", state.category);
    if (state.search) kept.set("search", state.search);
    if (state.score) kept.set("score", state.score);
    if (state.sort !== "name") kept.set("sort", state.sort);
    if (state.at >= 0) kept.set("picture", state.shown[state.at].image);
    try { history.replaceState(null, "", kept.size ? `#${kept}` : location.pathname); }
    catch { /* Some browsers refuse this for pages from disk: then the address stays as it is. */ }
  }

  function recall() {
    const kept = new URLSearchParams(location.hash.slice(1));
    if (tints.has(kept.get("category"))) state.category = kept.get("category");
    state.search = kept.get("search") || "";
    state.score = Math.min(1, Math.max(0, Number(kept.get("score")) || 0));
    if (Object.hasOwn(orders, kept.get("sort"))) state.sort = kept.get("sort");
    return kept.get("picture");
  }

  function listCategories(names) {
    const without = pictures.filter((picture) => !picture.masks.length).length;
    const rows = [["All", null, null, names.reduce((sum, [, n]) => sum + n, 0)],
      ...names.map(([name, n]) => [name, name, name, n])];
    if (without) rows.push(["Without masks", NONE, null, without]);
    byId("categories").replaceChildren(...rows.map(([label, category, tint, n]) => {
      const item = element("li");
      const button = element("button");
      const dot = element("span", "dot");
      button.type = "button";
      button.title = label;
      if (tint) tinted(dot, tint);
      button.append(dot, element("span", "label", label), element("span", "count", n.toLocaleString("en")));
      button.setAttribute("aria-pressed", String(state.category === category));
      button.addEventListener("click", () => choose(category === state.category ? null : category));
      button.category = category;
      item.append(button);
      return item;
    }));
  }

  function choose(category) {
    state.category = category;
    showControls();
    refresh();
  }

  function showControls() {
    byId("search").value = state.search;
    byId("score").value = state.score;
    byId("score-shown").textContent = percent(state.score);
    byId("sort").value = state.sort;
    for (const button of byId("categories").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.category === state.category));
    }
  }

  function open(index, opener) {
    state.at = index;
    if (opener) state.opener = opener;
    const picture = state.shown[index];
    const image = element("img");
    image.src = url(picture.image);
    image.alt = describe(picture, picture.masks);
    byId("stage").className = "stage";
    byId("stage").replaceChildren(image, outlines(picture, picture.masks, "meet"));
    byId("view-title").textContent = picture.name;
    byId("view-sub").textContent = `${picture.width} × ${picture.height} pixels, ${picture.masks.length} `
      + (picture.masks.length === 1 ? "mask" : "masks");
    byId("view-masks").replaceChildren(...picture.masks.map(maskRow));
    const original = [picture.original, picture.format].filter(Boolean).join(", ");
    facts([["File", picture.uri], ["Original", original], ["sha256", picture.sha256],
      ["Model", picture.model], ["Preprocessing", picture.preprocessing], ["Code", picture.code]]);
    byId("place").textContent = `${index + 1} of ${state.shown.length}`;
    byId("previous").disabled = index === 0;
    byId("next").disabled = index === state.shown.length - 1;
    if (!byId("view").open) byId("view").showModal();
    remember();
  }

  function maskRow(mask) {
    const item = element("li");
    const label = element("label");
    const box = element("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => { mask.path.style.display = box.checked ? "" : "none"; });
    label.append(box, tinted(element("span", "dot"), mask.category), element("span", "label", mask.category),
      element("span", "count", percent(mask.score)));
    const light = (on) => {
      byId("stage").classList.toggle("focus", on);
      mask.path.classList.toggle("lit", on);
    };
    label.addEventListener("pointerenter", () => light(true));
    label.addEventListener("pointerleave", () => light(false));
    const link = element("a", "", "PNG");
    link.href = url(mask.file);
    link.setAttribute("aria-label", `Mask of ${mask.category} as PNG`);
    item.append(label, link);
    return item;
  }

  function facts(rows) {
    byId("view-facts").replaceChildren(...rows.filter(([, value]) => value).flatMap(([name, value]) => {
      const shown = element("dd");
      shown.append(element("code", "", value));
      return [element("dt", "", name), shown];
    }));
  }

  function step(by) {
    const to = state.at + by;
    if (to < 0 || to >= state.shown.length) return;
    while (to >= state.drawn) drawMore();
    state.opener = byId("grid").children[to].firstElementChild;
    open(to);
  }

  const watch = new IntersectionObserver((seen) => {
    if (!seen.some((entry) => entry.isIntersecting) || state.drawn >= state.shown.length) return;
    drawMore();
    // Observed anew: a tall window may still show the end of the list, and no new crossing would be told.
    watch.unobserve(byId("more"));
    watch.observe(byId("more"));
  }, { rootMargin: "800px" });

  byId("search").addEventListener("input", (event) => { state.search = event.target.value.trim(); refresh(); });
  byId("score").addEventListener("input", (event) => { state.score = Number(event.target.value); showControls(); refresh(); });
  byId("sort").addEventListener("change", (event) => { state.sort = event.target.value; refresh(); });
  byId("overlay").addEventListener("change", (event) => document.body.classList.toggle("no-overlay", !event.target.checked));
  byId("reset").addEventListener("click", () => { Object.assign(state, { search: "", score: 0 }); choose(null); });
  byId("close").addEventListener("click", () => byId("view").close());
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("view").addEventListener("click", (event) => { if (event.target === byId("view")) byId("view").close(); });
  byId("view").addEventListener("close", () => { state.at = -1; remember(); if (state.opener) state.opener.focus(); });
  byId("view").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") { event.preventDefault(); step(-1); }
    if (event.key === "ArrowRight") { event.preventDefault(); step(1); }
  });

  const names = countCategories();
  const wanted = recall();
  if (matchMedia("(max-width: 820px)").matches) byId("category-box").open = false;
  listCategories(names);
  showControls();
  refresh();
  const at = wanted ? state.shown.findIndex((picture) => picture.image === wanted) : -1;
  if (at >= 0) open(at);
})();
