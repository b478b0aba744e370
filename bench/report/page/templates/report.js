"use strict";

// Numbers come before text, and what has no number comes last, whichever way a column is sorted.
function compare(a, b, direction) {
  const missing = (cell) => cell.classList.contains("number") && cell.dataset.value === undefined;
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  if (a.dataset.value !== undefined && b.dataset.value !== undefined) {
    return direction * (a.dataset.value - b.dataset.value);
  }
  return direction * a.textContent.trim().localeCompare(b.textContent.trim());
}

function sortBy(table, header, column) {
  const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  const body = table.tBodies[0];
  [...body.rows]
    .sort((a, b) => compare(a.cells[column], b.cells[column], direction))
    .forEach((row) => body.append(row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  // Headings that span two lines come first, then those of the second line.
  const headers = [...table.tHead.rows].flatMap((row) => [...row.cells]);
  headers
    .filter((header) => header.querySelector("button"))
    .forEach((header, column) => {
      header.firstElementChild.addEventListener("click", () => sortBy(table, header, column));
    });
}

// A link to a run unfolds it.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", unfold);
unfold();
