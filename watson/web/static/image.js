// Shows and hides single masks and boxes. Without it, the form's button does the same by loading the page anew.
// Puts the history of the picture into the page where it is asked for; without it, the link leads to a page of its own.
"use strict";

const form = document.getElementById("masks");
const overlay = document.getElementById("overlay");

function boxOf(index) {
  return document.querySelector(`[data-box="${index}"]`);
}

function redraw() {
  const boxes = [...form.querySelectorAll('input[name="mask"]')];
  const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
  for (const box of boxes) boxOf(box.value).classList.toggle("on", box.checked);
  overlay.hidden = chosen.length === 0;
  if (chosen.length === 0) return;
  const some = chosen.length < boxes.length ? chosen.map((index) => `&mask=${index}`).join("") : "";
  overlay.src = overlay.dataset.base + some;
}

if (form) {
  form.querySelector("button").hidden = true;
  for (const element of form.querySelectorAll(".needs-script")) element.hidden = false;
  form.addEventListener("change", redraw);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("show-boxes").addEventListener("change", (event) => {
    document.querySelector(".boxes").classList.toggle("all", event.target.checked);
  });
  for (const row of form.querySelectorAll("[data-mask]")) {
    const box = boxOf(row.dataset.mask);
    for (const kind of ["mouseenter", "focusin"]) row.addEventListener(kind, () => box.classList.add("pointed"));
    for (const kind of ["mouseleave", "focusout"]) row.addEventListener(kind, () => box.classList.remove("pointed"));
  }
  redraw();
}

const asks = document.querySelector("[data-load]");

async function load(event) {
  event.preventDefault();
  const place = asks.closest("section");
  const says = document.createElement("p");
  says.className = "quiet";
  says.setAttribute("role", "status");
  says.textContent = "Reading the log …";
  asks.hidden = true;
  place.append(says);
  try {
    const answer = await fetch(asks.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById(asks.dataset.load);
    if (!answer.ok || !found) throw new Error(page.querySelector("main")?.innerText.trim() ?? answer.statusText);
    says.replaceWith(document.importNode(found, true));
  } catch (error) {
    says.textContent = error.message;
    asks.hidden = false;
  }
}

asks?.addEventListener("click", (event) => {
  if (!event.ctrlKey && !event.metaKey && !event.shiftKey) load(event);
});
