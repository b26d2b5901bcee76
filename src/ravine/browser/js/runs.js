// The rows of the runs: colour and marker, whether it is shown, which one is in focus, how it ended, and a way to
// remove it. Rows stay in place; a change writes only what it changed.
{
    const { state, word, make, write } = ravine;
    // The signs of paths.js: circle, square, triangle, diamond, triangle down, plus, star, hexagon, hollow square.
    const MARKS = [
        "M15 4a4 4 0 1 0 .01 0z", "M11.5 4.5h7v7h-7z", "M15 3.5l4.5 8h-9z", "M15 2.8l5.2 5.2-5.2 5.2-5.2-5.2z",
        "M15 12.5l4.5-8h-9z", "M13.5 3.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
        "M15 2.8l1.5 3.4 3.7.3-2.8 2.4.9 3.6-3.3-1.9-3.3 1.9.9-3.6-2.8-2.4 3.7-.3z",
        "M15 3l4.3 2.5v5l-4.3 2.5-4.3-2.5v-5z", "M10 3Q15 5.5 20 3 17.5 8 20 13 15 10.5 10 13 12.5 8 10 3z",
    ];
    const SVG = "http://www.w3.org/2000/svg";

    const drawn = (tag, attributes) => {
        const made = document.createElementNS(SVG, tag);
        for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
        return made;
    };

    const swatch = (i) => {
        const made = drawn("svg", { viewBox: "0 0 30 16", class: "swatch", "aria-hidden": "true" });
        made.append(
            drawn("path", { d: "M1 8h28", stroke: "currentColor", "stroke-width": 2.5, "stroke-linecap": "round" }),
            drawn("path", { d: MARKS[i % MARKS.length], fill: "currentColor" }),
        );
        return made;
    };

    const toggle = (i) => {
        const runs = state.runs.map((run, j) => (j === i ? { ...run, shown: !run.shown } : run));
        ravine.change({ runs });
    };

    const remove = (i) => {
        const focus = state.focus > i ? state.focus - 1 : state.focus;
        ravine.change({ runs: state.runs.filter((run, j) => j !== i), focus });
        const rest = document.querySelectorAll("#runs input[type=radio]");
        if (rest.length > 0) rest[Math.min(i, rest.length - 1)].focus(); // the pressed button is gone
    };

    const row = (i) => {
        const shown = make("input", { type: "checkbox", id: `show-${i}`, onchange: () => toggle(i) });
        const chosen = () => ravine.change({ focus: i });
        const focus = make("input", { type: "radio", name: "focus", id: `focus-${i}`, onchange: chosen });
        const name = make("span", { class: "rule" }), settings = make("span", { class: "numbers" });
        const outcome = make("span", { class: "outcome" });
        const close = make("button", { type: "button", class: "remove", onclick: () => remove(i) }, "×");
        const element = make(
            "li", { class: "run" }, make("label", { class: "show" }, shown, swatch(i)),
            make("label", { class: "pick" }, focus, make("span", { class: "who" }, name, " ", settings), outcome),
            close,
        );
        return { element, shown, focus, name, settings, outcome, close };
    };

    const fill = (parts, i) => {
        const run = state.runs[i], race = ravine.races[i], label = ravine.label(run);
        write(parts.name, run.rule);
        write(parts.settings, ravine.briefLabel(run).slice(run.rule.length + 1));
        write(parts.outcome, race ? ravine.outcome(race) : word("hidden"));
        if (parts.label !== label) {
            parts.label = label;
            parts.settings.title = label;
            parts.shown.setAttribute("aria-label", word("show_run", { label }));
            parts.close.setAttribute("aria-label", word("remove_run", { label }));
            parts.close.title = word("remove_run", { label });
        }
        parts.shown.checked = run.shown;
        parts.focus.checked = i === state.focus;
        parts.element.classList.toggle("focused", i === state.focus);
        parts.element.classList.toggle("hidden-run", !run.shown);
        parts.element.classList.toggle("failed", Boolean(race) && ["diverged", "undefined"].includes(race.stopped));
        parts.close.disabled = state.runs.length === 1;
    };

    const adder = () => {
        const select = make("select", { id: "add-rule" }, make("option", { value: "" }, word("add_rule")));
        for (const [name, rule] of Object.entries(FACTS.rules)) {
            const title = ravine.wordFor("rule", name, rule.title);
            select.append(make("option", { value: name }, `${name} – ${title}`));
        }
        select.addEventListener("change", () => {
            if (select.value) add(select.value);
            select.value = "";
        });
        return select;
    };

    // A setting that no run has: its default, else what is neither small nor large.
    const usual = ({ default: given, low, high, scale }) => {
        if (given !== null) return given;
        const middle = { near1: 0.9, log: Number(Math.sqrt(low * high).toPrecision(2)), linear: (low + high) / 2 };
        return middle[scale];
    };

    // A new run takes lr, mu and whatever else it shares with the focused one, so that only the rule differs.
    const add = (rule) => {
        const settings = {}, others = [ravine.focused(), ...state.runs];
        for (const [name, known] of Object.entries(FACTS.rules[rule].parameters)) {
            const like = others.find((run) => Object.hasOwn(run.settings, name));
            settings[name] = like ? like.settings[name] : usual(known);
        }
        const before = state.runs.length;
        ravine.change({ runs: [...state.runs, { rule, settings, shown: true }], focus: before });
    };

    ravine.runs = (place) => {
        const list = make("ul", { class: "runs" }), rows = [];
        const select = adder();
        const says = make("span", { class: "unseen" }, word("add_rule"));
        place.append(list, make("label", { class: "add" }, says, select));
        const update = () => {
            while (rows.length > state.runs.length) rows.pop().element.remove();
            while (rows.length < state.runs.length) {
                rows.push(row(rows.length));
                list.append(rows[rows.length - 1].element);
            }
            rows.forEach(fill);
            select.disabled = state.runs.length >= ravine.mostRuns;
        };
        const paint = () => {
            rows.forEach(({ element }, i) => element.style.setProperty("--run", ravine.colour(i)));
        };
        ravine.listen(["runs", "focus", "races"], update);
        ravine.listen(["runs", "theme"], paint);
        update();
        paint();
    };
}
