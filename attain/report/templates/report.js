"use strict";
// The page is complete without this script; it sorts tables and opens what a link points at.

function sortTable(header, column) {
  const table = header.closest("table"), body = table.tBodies[0];
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
  const compare = (a, b) => {
    const x = key(a), y = key(b);
    if (x === "" || y === "") return (x === "") - (y === "");  // unknown values stay last
    const order = isNaN(x) || isNaN(y) ? x.localeCompare(y, undefined, {numeric: true}) : x - y;
    return down ? -order : order;
  };
  body.append(...[...body.rows].sort(compare));
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortTable(header, column));
    header.append(button);
  });
}

function reveal() {
  const wanted = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let at = wanted; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  if (wanted) wanted.scrollIntoView();
}
addEventListener("hashchange", reveal);
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not(.long)")) details.open = true;
});
if (location.hash) reveal();

// What scrolls must be reachable by keyboard; what does not needs no stop.
function reach() {
  for (const box of document.querySelectorAll(".scroll")) {
    const scrolls = box.scrollWidth > box.clientWidth + 1;
    if (scrolls === box.hasAttribute("tabindex")) continue;
    const title = box.querySelector("caption");
    const marks = { tabindex: 0, role: "region", "aria-label": title ? title.textContent : "Table" };
    for (const [name, value] of Object.entries(marks)) {
      if (scrolls) box.setAttribute(name, value);
      else box.removeAttribute(name);
    }
  }
}
reach();
addEventListener("resize", reach);
for (const part of document.querySelectorAll("details")) part.addEventListener("toggle", reach);
