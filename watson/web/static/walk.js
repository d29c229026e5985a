// Arrow keys go from picture to picture of the gallery, Esc goes back to it. The links do the same.
"use strict";

const WAYS = { ArrowLeft: "prev", ArrowRight: "next", Escape: "up" };

document.addEventListener("keydown", (event) => {
  const way = WAYS[event.key];
  if (!way || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  const link = document.querySelector(`#way [rel="${way}"]`);
  if (!link) return;
  event.preventDefault();
  link.click();
});
