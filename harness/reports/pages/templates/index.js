"use strict";
(() => {
  const body = document.querySelector("#verdicts tbody");
  const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim().toLowerCase();
  for (const button of document.querySelectorAll("#verdicts button")) {
    const head = button.parentElement, column = head.cellIndex;
    button.disabled = false;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentElement.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = (a, b) => (key(a, column) < key(b, column) ? -1 : key(a, column) > key(b, column) ? 1 : 0) * (down ? -1 : 1);
      body.append(...[...body.rows].sort(order));
    });
  }
})();
