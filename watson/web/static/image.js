// Shows and hides single masks and boxes. Without it, the form's button does the same by loading the page anew.
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
