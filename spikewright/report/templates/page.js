(() => {
  "use strict";
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const toggle = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;

  const theme = () => chosen || (system.matches ? "dark" : "light");

  /* "$s1" and "$s1/0.2" are the style sheet's colour --s1, with an opacity. */
  const colour = (text) => {
    const [, name, opacity] = /^\$([a-z0-9]+)(?:\/([\d.]+))?$/.exec(text);
    const hex = getComputedStyle(root).getPropertyValue(`--${name}`).trim();
    if (!opacity) return hex;
    const full = hex.length === 4 ? hex.replace(/[0-9a-f]/gi, "$&$&") : hex;
    const part = (at) => parseInt(full.slice(at, at + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${opacity})`;
  };
  const coloured = (value) => {
    if (typeof value === "string") return value.startsWith("$") ? colour(value) : value;
    if (Array.isArray(value)) return value.map(coloured);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v)]));
    }
    return value;
  };

  const draw = (name) => {
    const figure = coloured(figures[name]);
    Plotly.react(name, figure.data, figure.layout, {
      displayModeBar: false, showTips: false,
    });
  };
  const show = (name) => {
    root.dataset.theme = name;
    toggle.textContent = name === "dark" ? "Light" : "Dark";
    Object.keys(figures).forEach(draw);
  };

  toggle.addEventListener("click", () => {
    chosen = theme() === "dark" ? "light" : "dark";
    show(chosen);
  });
  system.addEventListener("change", () => show(theme()));
  window.addEventListener("beforeprint", () => {
    show("light");
    Object.keys(figures).forEach((name) => Plotly.Plots.resize(name));
  });
  window.addEventListener("afterprint", () => show(theme()));

  /* Sorting: numbers by value, names by alphabet; again for the other direction. */
  const keyOf = (row, column) => {
    const cell = row.children[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(text.replaceAll(",", ""));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  document.querySelectorAll("table.sortable").forEach((table) => {
    const heads = [...table.querySelectorAll("thead th")];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].sort((a, b) => compare(keyOf(a, column), keyOf(b, column)));
        if (down) rows.reverse();
        body.append(...rows);
      });
    });
  });

  const fit = new ResizeObserver((changes) => {
    changes.forEach((change) => Plotly.Plots.resize(change.target));
  });

  show(theme());
  Object.keys(figures).forEach((name) => fit.observe(document.getElementById(name)));
  root.dataset.ready = "yes";
})();
