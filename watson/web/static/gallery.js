// Draws the masks of a gallery's pictures, so that categories and single masks are shown and hidden at once; moves
// from card to card by keys. Without it, links and the form do what they can by loading the page anew.
"use strict";

const tiles = [...document.querySelectorAll(".tile")];
const legend = document.getElementById("legend");
const entries = legend ? [...legend.querySelectorAll("[data-category]")] : [];
const form = document.getElementById("filter");
const FILL_ALPHA = 110;
const EDGE = 2; // pixels; both as the server's overlays have them

const ROWS = { small: 120, medium: 160, large: 310 }; // pixels; as the style sheet and the server have them
const sizes = [...document.querySelectorAll("[data-size]")];
let size = sizes.find((link) => link.hasAttribute("aria-current")).dataset.size;

// ---------------------------------------------------------------- what is drawn
const asked = new URLSearchParams(location.search);
let drawn = asked.get("masks") !== "0";
const exceptions = new Set(asked.getAll(drawn ? "hide" : "show"));

const shows = (category) => drawn !== exceptions.has(category);

// Source: rleFrString in cocoapi's common/maskApi.c.
function runsOf(text) {
  const runs = [];
  for (let place = 0; place < text.length; ) {
    let value = 0;
    let shift = 0;
    let code;
    do {
      code = text.charCodeAt(place++) - 48;
      value |= (code & 31) << shift;
      shift += 5;
    } while (code & 32);
    if (code & 16) value |= -1 << shift;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

// The pixels of a mask, row by row as canvases have them: those on its edge, and the others.
function pixelsOf(mask, height, width) {
  const tall = height + 2 * EDGE; // with a border of nothing around
  const inside = new Uint8Array(tall * (width + 2 * EDGE)); // column by column, as COCO has them
  const places = [];
  let place = 0;
  runsOf(mask.counts).forEach((run, number) => {
    const end = place + run;
    if (number % 2 === 0) place = end;
    for (; place < end; place++) {
      const x = Math.floor(place / height);
      places.push(place);
      inside[(x + EDGE) * tall + (place - x * height) + EDGE] = 1;
    }
  });
  const fill = [];
  const edge = [];
  for (const one of places) {
    const x = Math.floor(one / height);
    const y = one - x * height;
    const here = (x + EDGE) * tall + y + EDGE;
    let within = 1;
    for (let step = 1; step <= EDGE; step++) {
      within &= inside[here - step] & inside[here + step] & inside[here - step * tall] & inside[here + step * tall];
    }
    (within ? fill : edge).push(y * width + x);
  }
  return { fill: Uint32Array.from(fill), edge: Uint32Array.from(edge) };
}

// ---------------------------------------------------------------- drawing
const drawings = new Map(); // tile → {size: [height, width], masks: [{index, category, colour, counts}]}
const wanted = new Map(); // tile → index of the one mask that is pointed at

function paint(tile) {
  const drawing = drawings.get(tile);
  if (!drawing) return;
  const canvas = tile.querySelector("canvas");
  const [height, width] = drawing.size;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new DataView(image.data.buffer);
  const only = wanted.get(tile);
  for (const mask of drawing.masks) {
    if (only === undefined ? !shows(mask.category) : mask.index !== only) continue;
    mask.pixels ??= pixelsOf(mask, height, width);
    const colour = parseInt(mask.colour.slice(1), 16) * 256;
    for (const pixel of mask.pixels.fill) pixels.setUint32(pixel * 4, colour + FILL_ALPHA);
    for (const pixel of mask.pixels.edge) pixels.setUint32(pixel * 4, colour + 255);
  }
  context.putImageData(image, 0, 0);
}

async function load(tile) {
  const side = size === "large" ? 640 : 320; // pixels
  const address = `${tile.querySelector("[data-drawing]").dataset.drawing}&size=${side}`;
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (!answer.ok) return; // the picture is shown without masks; the server's log says why
  drawings.set(tile, await answer.json());
  paint(tile);
}

const near = new IntersectionObserver(
  (seen) => {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      load(target).catch(() => near.observe(target)); // the network was away: again when it is next in sight
    }
  },
  { rootMargin: "300px" },
);

function draw() {
  for (const tile of tiles) {
    near.unobserve(tile);
    if (tile.querySelector("[data-drawing]")) near.observe(tile);
  }
}

// ---------------------------------------------------------------- the address is what is seen
function changed(parameters, address) {
  const url = new URL(address, location.href);
  for (const name of ["hide", "show", "masks", "size"]) url.searchParams.delete(name);
  for (const [name, value] of parameters) url.searchParams.append(name, value);
  return url.pathname + url.search + url.hash;
}

function remember() {
  const parameters = drawn ? [] : [["masks", "0"]];
  for (const name of [...exceptions].sort()) parameters.push([drawn ? "hide" : "show", name]);
  if (size !== "medium") parameters.push(["size", size]);
  history.replaceState(null, "", changed(parameters, location.href));
  for (const link of document.querySelectorAll(".tile a, .pager a, .note a, .side .actions a")) {
    link.setAttribute("href", changed(parameters, link.getAttribute("href")));
  }
  for (const input of form.querySelectorAll('input[type="hidden"]')) input.remove();
  for (const [name, value] of parameters) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name, value });
    form.append(input);
  }
}

// ---------------------------------------------------------------- categories
function tell() {
  for (const entry of entries) {
    const on = shows(entry.dataset.category);
    entry.classList.toggle("off", !on);
    entry.setAttribute("aria-pressed", String(on));
  }
}

function redraw() {
  tell();
  remember();
  for (const tile of drawings.keys()) paint(tile);
}

function toggle(category) {
  if (!exceptions.delete(category)) exceptions.add(category);
  redraw();
}

function show(all) {
  drawn = all;
  exceptions.clear();
  redraw();
}

function button(element, act) {
  element.setAttribute("role", "button");
  element.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new window
    event.preventDefault();
    act();
  });
  element.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    act();
  });
}

for (const entry of entries) {
  entry.querySelector(".said").remove(); // aria-pressed says it from now on
  button(entry, () => toggle(entry.dataset.category));
}
if (legend) {
  button(legend.querySelector("[data-all]"), () => show(true));
  button(legend.querySelector("[data-none]"), () => show(false));
  tell();
}

// ---------------------------------------------------------------- single masks
for (const chip of document.querySelectorAll("[data-mask]")) {
  const tile = chip.closest(".tile");
  const only = (index) => {
    if (index === undefined) wanted.delete(tile);
    else wanted.set(tile, index);
    paint(tile);
  };
  for (const kind of ["mouseenter", "focus"]) chip.addEventListener(kind, () => only(Number(chip.dataset.mask)));
  for (const kind of ["mouseleave", "blur"]) chip.addEventListener(kind, () => only(undefined));
}

// ---------------------------------------------------------------- size of the cards
for (const link of sizes) {
  button(link, () => {
    document.getElementById("tiles").classList.replace(size, link.dataset.size);
    size = link.dataset.size;
    for (const picture of document.querySelectorAll(".tile img[srcset]")) {
      picture.sizes = `${Math.round((ROWS[size] * picture.getAttribute("width")) / picture.getAttribute("height"))}px`;
    }
    for (const other of sizes) {
      if (other === link) other.setAttribute("aria-current", "true");
      else other.removeAttribute("aria-current");
    }
    remember();
    draw(); // what is there stays until it is there in its new size
  });
}
draw();

// ---------------------------------------------------------------- filters
if (matchMedia("(max-width: 900px)").matches) document.getElementById("filters").open = false;

form.addEventListener("submit", () => {
  for (const input of form.elements) if (input.name && input.value === "") input.disabled = true; // a short address
});
addEventListener("pageshow", () => {
  for (const input of form.elements) input.disabled = false; // the visitor came back
});
form.addEventListener("change", (event) => {
  if (event.target.name && form.reportValidity()) form.requestSubmit();
});

const search = document.getElementById("find-category");
const choices = [...document.querySelectorAll(".choices li")];
search.hidden = choices.length < 10;
search.addEventListener("input", () => {
  const text = search.value.trim().toLowerCase();
  for (const choice of choices) choice.hidden = !choice.textContent.toLowerCase().includes(text);
});

// ---------------------------------------------------------------- keys
const cards = tiles.map((tile) => tile.querySelector(".open"));
document.querySelector(".keys").hidden = cards.length === 0;

// The card in the row above or below that is nearest to the middle of this one.
function beyond(card, down) {
  const from = card.getBoundingClientRect();
  const middle = from.left + from.width / 2;
  let best = null;
  let least = Infinity;
  for (const other of cards) {
    const to = other.getBoundingClientRect();
    const rows = down ? to.top - from.top : from.top - to.top;
    if (rows < 1) continue;
    const distance = rows * 1000 + Math.abs(to.left + to.width / 2 - middle);
    if (distance < least) [best, least] = [other, distance];
  }
  return best;
}

function next(key, card) {
  const place = cards.indexOf(card);
  switch (key) {
    case "ArrowLeft":
      return cards[Math.max(place - 1, 0)];
    case "ArrowRight":
      return cards[Math.min(place + 1, cards.length - 1)];
    case "ArrowUp":
      return beyond(card, false);
    case "ArrowDown":
      return beyond(card, true);
    case "Home":
      return cards[0];
    case "End":
      return cards.at(-1);
    default:
      return null;
  }
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.matches("input, select, textarea")) return;
  const card = event.target.closest(".tile")?.querySelector(".open");
  if (event.key === "m" && legend) show(!drawn);
  else if (event.key === "Escape" && card) document.activeElement.blur();
  else if (card || event.key === "ArrowRight") {
    const to = card ? next(event.key, card) : cards[0];
    if (!to) return;
    event.preventDefault();
    to.focus();
    to.scrollIntoView({ block: "nearest" });
  }
});
