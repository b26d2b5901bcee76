// The settings of the focused run: for each a slider on its scale, a field that takes exact values, and a schedule.
// The elements are made when the rule changes and only written to while a slider moves.
{
    const { state, word, make, write } = ravine;
    const POSITIONS = 1000; // of a slider

    // The slider ---------------------------------------------------------------------------------------------------

    const ends = ({ low, high, scale }) => {
        const { there } = ravine.scales[scale];
        return [there(low), there(high)];
    };

    const positionOf = (known, value) => {
        const [low, high] = ends(known), there = ravine.scales[known.scale].there(value);
        return Math.round(Math.min(Math.max((there - low) / (high - low), 0), 1) * POSITIONS);
    };

    const valueAt = (known, position) => {
        const [low, high] = ends(known), { back, tidy } = ravine.scales[known.scale];
        if (position <= 0) return known.low;
        return position >= POSITIONS ? known.high : tidy(back(low + ((high - low) * position) / POSITIONS));
    };

    const slider = (name, known) => {
        const made = make("input", {
            type: "range", id: `slider-${name}`, "data-name": name, min: 0, max: POSITIONS, step: 1,
            "aria-describedby": `meaning-${name}`,
        });
        made.addEventListener("input", () => ravine.set(name, valueAt(known, Number(made.value))));
        return made;
    };

    // A field whose arrow keys move as far as the slider's do: one up from a mu of 0.9 would be 1.9.
    const field = (name, known) => {
        const made = make("input", {
            type: "number", id: `number-${name}`, step: "any", inputmode: "decimal",
            "aria-label": word("exact", { name }),
        });
        made.addEventListener("input", () => {
            const fine = made.value !== "" && ravine.set(name, Number(made.value)).length === 0;
            made.setAttribute("aria-invalid", String(!fine));
        });
        made.addEventListener("blur", () => update(true));
        ravine.numeric(made, () => ravine.allowed.noNumber(name));
        made.addEventListener("keydown", (event) => {
            const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
            if (!way) return;
            event.preventDefault();
            ravine.set(name, valueAt(known, positionOf(known, Number(made.value)) + way * 10));
        });
        return made;
    };

    // The schedule -------------------------------------------------------------------------------------------------

    const offered = (name) => Object.entries(FACTS.schedules).filter(([, schedule]) => schedule.for.includes(name));

    const scheduleSelect = (name) => {
        const select = make("select", { id: `schedule-${name}`, "aria-label": word("schedule_of", { name }) });
        for (const key of ["constant", ...offered(name).map(([offer]) => offer)]) {
            select.append(make("option", { value: key }, ravine.wordFor("schedule", key)));
        }
        select.addEventListener("change", () => choose(name, select.value));
        return select;
    };

    const choose = (name, key) => {
        const now = engine.at(ravine.focused().settings[name], 0);
        if (key === "constant") ravine.set(name, now);
        else if (Object.hasOwn(FACTS.schedules, key)) {
            ravine.set(name, [key, ...FACTS.schedules[key].first.map((first) => (first === null ? now : first))]);
        }
        update(true); // where it was refused, the select goes back
    };

    const argument = (name, parameter, i) => {
        const id = `schedule-${name}-${parameter}`;
        const input = make("input", { type: "number", id, step: "any", inputmode: "decimal" });
        input.addEventListener("input", () => {
            const value = ravine.focused().settings[name].slice();
            value[i + 1] = Number(input.value);
            const fine = input.value !== "" && ravine.set(name, value).length === 0;
            input.setAttribute("aria-invalid", String(!fine));
        });
        input.addEventListener("blur", () => update(true));
        ravine.numeric(input, () => word("bad_schedule", { name }));
        const label = make("label", { class: "argument", for: id }, ravine.wordFor("argument", parameter), input);
        return { input, label };
    };

    // One setting --------------------------------------------------------------------------------------------------

    const setting = (name, known) => {
        const title = make("label", { for: `slider-${name}`, class: "title" }, name);
        const said = ravine.wordFor("setting", name, known.meaning);
        const meaning = make("span", { class: "meaning", id: `meaning-${name}` }, said);
        const select = scheduleSelect(name), number = field(name, known), range = slider(name, known);
        const args = make("div", { class: "arguments" }), text = make("code", { class: "as-text" });
        const element = make("div", { class: "setting" }, title, select, number, meaning, range, args, text);
        return { name, known, element, select, field: number, slider: range, args, text, inputs: [], shape: null };
    };

    // What stands below the title follows the shape of the value: a number, an offered schedule, or any other.
    const reshape = (parts, shape) => {
        parts.shape = shape;
        const plain = shape === "", known = Object.hasOwn(FACTS.schedules, shape);
        const other = parts.select.querySelector("option.other");
        if (other) other.remove();
        if (!plain && !offered(parts.name).some(([key]) => key === shape)) {
            parts.select.append(make("option", { value: shape, class: "other" }, ravine.wordFor("schedule", shape)));
        }
        parts.select.value = plain ? "constant" : shape;
        parts.slider.hidden = parts.field.hidden = !plain;
        parts.args.hidden = plain || !known;
        parts.text.hidden = plain || known;
        parts.inputs = known ? FACTS.schedules[shape].parameters.map((p, i) => argument(parts.name, p.name, i)) : [];
        parts.args.replaceChildren(...parts.inputs.map(({ label }) => label));
    };

    const fill = (parts, value) => {
        const shape = Array.isArray(value) ? value[0] : "";
        if (shape !== parts.shape) reshape(parts, shape);
        if (parts.shown === value) return;
        parts.shown = value;
        if (shape) {
            parts.inputs.forEach(({ input }, i) => ravine.writeNumber(input, value[i + 1]));
            write(parts.text, engine.text(value));
            return;
        }
        const position = String(positionOf(parts.known, value)), text = engine.text(value);
        // While it is dragged the slider knows better: a tidy value may lie beside its position.
        if (document.activeElement !== parts.slider || valueAt(parts.known, Number(parts.slider.value)) !== value) {
            if (parts.slider.value !== position) parts.slider.value = position;
        }
        parts.slider.setAttribute("aria-valuetext", `${parts.name} ${text}`);
        ravine.writeNumber(parts.field, value);
    };

    // All of them --------------------------------------------------------------------------------------------------

    let place = null, rule = null, made = [];

    // Elements stay, or the focus would be lost that is on its way from one field to the next.
    const restore = (parts) => {
        parts.shown = undefined;
        parts.select.value = parts.shape || "constant";
        for (const input of parts.element.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    };

    // Write the focused run's settings; `anew` also where a field holds something that was refused.
    const update = (anew = false) => {
        const run = ravine.focused();
        if (!run) return;
        if (run.rule !== rule) {
            rule = run.rule;
            made = Object.entries(FACTS.rules[rule].parameters).map(([name, known]) => setting(name, known));
            place.replaceChildren(...made.map(({ element }) => element));
        }
        for (const parts of made) {
            if (anew) restore(parts);
            fill(parts, run.settings[parts.name]);
        }
    };

    ravine.settings = (element) => {
        place = element;
        const paint = () => place.parentElement.style.setProperty("--run", ravine.colour(state.focus));
        ravine.listen(["runs", "focus"], () => update());
        ravine.listen(["focus", "theme"], paint);
        update();
        paint();
    };
}
