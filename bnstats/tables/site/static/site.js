"use strict";
// Everything on these pages can be read without this script. It adds a switch between light and
// dark, buttons that copy and sort, and the search. It asks nobody for anything.

// --- light and dark: before the page is drawn, so that none flashes in the other colours ---------

const THEMES = ["auto", "light", "dark"];
let theme = "auto";
try {
  theme = localStorage.getItem("theme") ?? "auto";
} catch {
  // A browser that keeps nothing begins with its own choice.
}

function showTheme() {
  document.documentElement.dataset.theme = theme;
}
showTheme();

function addThemeSwitch() {
  const button = document.getElementById("theme");
  const label = () => {
    button.textContent = `Theme: ${theme}`;
  };
  button.hidden = false;
  label();
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    showTheme();
    label();
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // It then holds for this page only.
    }
  });
}

// --- copying -------------------------------------------------------------------------------------

const PATIENCE = 1500; // ms for which a button says what it has done

function say(text) {
  document.getElementById("said").textContent = text;
}

async function copy(element, button) {
  const what = element.dataset.what;
  let done = "copied";
  try {
    await navigator.clipboard.writeText(element.dataset.copy || element.textContent.trim());
  } catch {
    // Pages that come over plain HTTP may not write to the clipboard.
    getSelection().selectAllChildren(element);
    done = "selected";
  }
  button.textContent = done;
  say(`${what}: ${done}`);
  setTimeout(() => {
    button.textContent = "copy";
  }, PATIENCE);
}

function addCopyButton(element) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy";
  button.setAttribute("aria-label", `copy ${element.dataset.what}`);
  button.addEventListener("click", () => copy(element, button));
  element.after(" ", button);
}

// --- sorting -------------------------------------------------------------------------------------

function keyOf(row, column) {
  const cell = row.cells[column];
  const text = cell.textContent.trim();
  const key = cell.dataset.key ?? text;
  const number = key === "" ? NaN : Number(key);
  return { text, number, empty: "key" in cell.dataset ? Number.isNaN(number) : text === "" };
}

function compare(a, b) {
  if (Number.isNaN(a.number) || Number.isNaN(b.number)) {
    return a.text.localeCompare(b.text, "en", { numeric: true });
  }
  return a.number - b.number;
}

function sort(table, heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentElement.cells) {
    other.removeAttribute("aria-sort");
  }
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => [keyOf(row, heading.cellIndex), row]);
  rows.sort(([a], [b]) => {
    if (a.empty || b.empty) {
      return a.empty - b.empty; // what is empty stands last, either way
    }
    return down ? compare(b, a) : compare(a, b);
  });
  body.append(...rows.map(([, row]) => row));
  say(`sorted by ${heading.textContent}, ${heading.getAttribute("aria-sort")}`);
}

function addSorting(table) {
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, heading));
    heading.append(button);
  }
}

// --- searching -----------------------------------------------------------------------------------

function addSearch(field) {
  const form = field.form;
  const rows = Array.from(document.getElementById(field.dataset.filters).tBodies[0].rows);
  const texts = rows.map((row) => (row.dataset.search ?? row.textContent).toLowerCase());
  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
      found += !row.hidden;
    });
    form.querySelector(".found").textContent = words.length
      ? `${found} of ${rows.length} rows`
      : "";
  };
  form.hidden = false;
  field.value = new URLSearchParams(location.search).get("q") ?? "";
  field.addEventListener("input", filter);
  filter();
}

document.addEventListener("DOMContentLoaded", () => {
  addThemeSwitch();
  document.querySelectorAll("[data-copy]").forEach(addCopyButton);
  document.querySelectorAll("table.sortable").forEach(addSorting);
  document.querySelectorAll("[data-filters]").forEach(addSearch);
});
