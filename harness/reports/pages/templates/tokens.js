"use strict";
(() => {
  const data = JSON.parse(document.getElementById("token-data").textContent);
  const box = document.getElementById("tokens");
  const find = (id) => document.getElementById(id);
  const viewport = find("token-view"), body = find("token-rows"), status = find("token-status");
  const sheetBox = find("token-sheet"), searchBox = find("token-search"), flipBox = find("token-flips");
  const ROW = 30, SPARE = 10, CONTEXT = 8, ZERO = 0, INFINITE = 65534, UNKNOWN = 65535, END = "(end)";

  const unpack = ([width, text]) => {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return width === 2 ? new Uint16Array(bytes.buffer) : new Uint32Array(bytes.buffer);
  };
  const value = (code) => code === ZERO ? 0 : code === UNKNOWN ? NaN : code === INFINITE ? Infinity
    : Math.exp(data.low + (code - 1) * data.step);
  const number = (x) => {
    if (Number.isNaN(x)) return "-";
    if (x === 0) return "0";
    if (x === Infinity) return "infinite";
    return x < 1e-3 ? x.toExponential(2) : x >= 1000 ? x.toFixed(0) : x.toPrecision(3);
  };
  // A probability from its log odds: what is far from certain by its size, what is near 1 by its distance to 1.
  const share = (code) => {
    if (code === UNKNOWN) return "-";
    if (code === ZERO) return "0 %";
    if (code === INFINITE) return "100 %";
    const odds = (code - 1) * data.oddsStep - data.odds, x = 1 / (1 + Math.exp(-odds)), rest = 1 / (1 + Math.exp(odds));
    if (rest < 1e-5) return "over 99.999 %";
    if (x < 1e-5) return (100 * x).toExponential(1) + " %";
    const room = Math.min(x, rest);
    return (100 * x).toFixed(room >= 0.05 ? 1 : room >= 0.005 ? 2 : 3) + " %";
  };

  const lowered = data.pieces.map((piece) => piece.toLowerCase());
  const lowItems = data.items.map((item) => item.join(" ").toLowerCase());
  const lowSegments = data.segments.map((segment) => segment.toLowerCase());
  let sheet, shown = [], order = "kl", down = true, drawn = "";

  const open = (index) => {
    const raw = data.sheets[index];
    sheet = { of: raw.of, kept: raw.kept };
    for (const name of Object.keys(raw.columns)) sheet[name] = unpack(raw.columns[name]);
  };

  // Which rows match, in which order. A word is looked up once per text and not once per row.
  const choose = () => {
    const word = searchBox.value.trim().toLowerCase(), flips = flipBox.checked;
    const has = (texts) => word ? Uint8Array.from(texts, (text) => text.includes(word) ? 1 : 0) : null;
    const pieces = has(lowered), items = has(lowItems), segments = has(lowSegments);
    shown = [];
    for (let i = 0; i < sheet.kept; i++) {
      if (flips && sheet.agree[i]) continue;
      if (word && !(pieces[sheet.label[i]] || pieces[sheet.ref[i]] || pieces[sheet.cand[i]]
        || items[sheet.item[i]] || segments[sheet.segment[i]])) continue;
      shown.push(i);
    }
    const column = sheet[order], sign = down ? -1 : 1;
    shown.sort((a, b) => sign * (column[a] - column[b]) || sheet.item[a] - sheet.item[b] || sheet.position[a] - sheet.position[b]);
    status.textContent = shown.length.toLocaleString("en") + " of " + sheet.kept.toLocaleString("en") + " tokens"
      + (sheet.kept < sheet.of ? ", those that moved most of " + sheet.of.toLocaleString("en") : "");
    find("token-table").setAttribute("aria-rowcount", shown.length + 1);
    viewport.scrollTop = 0;
    drawn = "";
    draw();
  };

  const context = (i) => {
    const words = [];
    for (let j = i - 1; j >= 0 && i - j <= CONTEXT; j--) {
      if (sheet.item[j] !== sheet.item[i] || sheet.position[j] !== sheet.position[i] - (i - j)) break;
      words.unshift(data.pieces[sheet.label[j]]);
    }
    return words.join("");
  };
  const cell = (row, text, kind) => {
    const made = document.createElement("td");
    made.textContent = text;
    if (kind) made.className = kind;
    row.append(made);
    return made;
  };
  const spacer = (rows) => {
    const row = document.createElement("tr"), made = document.createElement("td");
    row.className = "spacer";
    row.setAttribute("aria-hidden", "true");
    made.colSpan = 8;
    made.style.height = rows * ROW + "px";
    row.append(made);
    return row;
  };

  // Only what can be seen is in the document: a window of rows between two spacers.
  const draw = () => {
    const first = Math.max(0, Math.floor(viewport.scrollTop / ROW) - SPARE);
    const last = Math.min(shown.length, first + Math.ceil(viewport.clientHeight / ROW) + 2 * SPARE);
    if (drawn === first + " " + last) return;
    drawn = first + " " + last;
    const made = document.createDocumentFragment();
    if (first) made.append(spacer(first));
    for (let at = first; at < last; at++) {
      const i = shown[at], row = document.createElement("tr");
      row.setAttribute("aria-rowindex", at + 2);
      cell(row, number(value(sheet.kl[i])), "num");
      const text = cell(row, "", "said");
      const before = document.createElement("span"), token = document.createElement("b");
      before.className = "soft";
      before.textContent = context(i);
      token.textContent = data.pieces[sheet.label[i]];
      text.append(before, token);
      cell(row, data.pieces[sheet.ref[i]], "said");
      cell(row, data.pieces[sheet.cand[i]], sheet.agree[i] ? "said" : "said flip");
      const end = data.pieces[sheet.label[i]] === END;
      cell(row, end ? "-" : share(sheet.pref[i]), "num");
      cell(row, end ? "-" : share(sheet.pcand[i]), "num");
      cell(row, data.items[sheet.item[i]][0] + " (" + data.items[sheet.item[i]][1] + ", " + data.segments[sheet.segment[i]] + ")", "soft");
      cell(row, String(sheet.position[i]), "num soft");
      made.append(row);
    }
    if (last < shown.length) made.append(spacer(shown.length - last));
    body.replaceChildren(made);
  };

  const sortBy = (name) => {
    down = order === name ? !down : name === "kl";
    order = name;
    for (const button of box.querySelectorAll("button[data-order]")) {
      const chosen = button.dataset.order === order;
      button.parentElement.setAttribute("aria-sort", chosen ? (down ? "descending" : "ascending") : "none");
    }
    choose();
  };

  data.sheets.forEach((each, index) => sheetBox.add(new Option(each.label, index)));
  sheetBox.addEventListener("change", () => { open(Number(sheetBox.value)); choose(); });
  searchBox.addEventListener("input", choose);
  flipBox.addEventListener("change", choose);
  viewport.addEventListener("scroll", draw, { passive: true });
  addEventListener("resize", draw);
  addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details")) one.open = true; });
  for (const button of box.querySelectorAll("button[data-order]")) {
    button.addEventListener("click", () => sortBy(button.dataset.order));
  }
  box.hidden = false;
  open(0);
  choose();
})();
