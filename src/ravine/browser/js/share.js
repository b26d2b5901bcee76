// Taking the page elsewhere: a link with the whole state in its fragment, the command and the Python lines that give
// the same picture, and the trajectories as CSV. What comes back with a link is text of a stranger: it is parsed as
// JSON, every field is checked in app.js, and a name in it is never looked up but among our own.
{
    const LONGEST = 20000; // characters of a fragment
    const FIELDS = ["runs", "focus", "together", "start", "steps", "noise", "seed", "time", "view", "place", "theme"];
    const DEFAULT_TOL = 1e-6, DEFAULT_STEPS = 100; // of `ravine race`
    const { state, word } = ravine;

    // Link ---------------------------------------------------------------------------------------------------------

    const fragment = () => {
        const kept = Object.fromEntries(FIELDS.map((key) => [key, state[key]]));
        return `#${encodeURIComponent(JSON.stringify(kept))}`;
    };

    // The fields of a fragment as a patch, and whether anything in it is none of ours.
    const parsed = (hash) => {
        if (hash.length > LONGEST) return null;
        try {
            const read = JSON.parse(decodeURIComponent(hash.slice(1)));
            if (read === null || typeof read !== "object" || Array.isArray(read)) return null;
            const patch = {};
            for (const key of FIELDS) if (Object.hasOwn(read, key)) patch[key] = read[key];
            return { patch, strange: Object.keys(read).some((key) => !FIELDS.includes(key)) };
        } catch {
            return null;
        }
    };

    // Take the state out of the fragment; says so where it cannot be read. Returns whether there was one.
    ravine.restore = (hash) => {
        if (hash.length < 2) return false;
        const read = parsed(hash);
        if (read === null) {
            ravine.tell(word("bad_link"));
            return false;
        }
        const faults = ravine.change(read.patch);
        if (read.strange && faults.length === 0) ravine.tell(word("strange_link"));
        return true;
    };

    let last = ""; // the fragment that we wrote ourselves

    ravine.keep = () => {
        last = fragment();
        try {
            history.replaceState(null, "", last);
        } catch {
            // A page inside another one, as in a notebook, may not have an address of its own.
        }
    };

    ravine.link = () => {
        ravine.keep();
        return location.href.split("#")[0] + last;
    };

    ravine.isOurs = (hash) => hash === last;

    // Command and Python -------------------------------------------------------------------------------------------

    const method = (run) => {
        const defaults = engine.rules[run.rule].defaults;
        const words = Object.entries(run.settings).filter(([name, value]) => defaults[name] !== value);
        return `${run.rule}:${words.map(([name, value]) => `${name}=${engine.text(value)}`).join(",")}`;
    };

    // A word of a POSIX shell: bare, in double quotes where nothing in it means anything there, else in single ones.
    const quoted = (text) => {
        if (/^[\w@%+=:,./][\w@%+=:,./-]*$/.test(text)) return text;
        if (/^[^"$`\\!\u0000-\u001f]*$/.test(text)) return `"${text}"`;
        return `'${text.replaceAll("'", "'\\''")}'`;
    };

    const shownRuns = () => state.runs.filter((run) => run.shown);

    ravine.command = () => {
        const surface = FACTS.surface.text, minus = surface.startsWith("-"); // which would be read as an option
        const words = ["ravine", "race", ...(minus ? [] : [quoted(surface)])];
        words.push("--start", state.start.map(engine.text).join(","));
        for (const run of shownRuns()) words.push("--rule", quoted(method(run)));
        words.push("--steps", String(state.steps));
        if (FACTS.tol !== DEFAULT_TOL) words.push("--tol", engine.text(FACTS.tol));
        if (state.noise > 0) words.push("--noise", engine.text(state.noise), "--seed", String(state.seed));
        return [...words, ...(minus ? ["--", quoted(surface)] : [])].join(" ");
    };

    ravine.python = () => {
        const start = state.start.map(engine.text).join(", ") + (state.start.length === 1 ? "," : "");
        const methods = shownRuns().map((run) => `    ${JSON.stringify(method(run))},`);
        const more = [`(${start})`];
        if (state.steps !== DEFAULT_STEPS) more.push(`steps=${state.steps}`);
        if (FACTS.tol !== DEFAULT_TOL) more.push(`tol=${engine.text(FACTS.tol)}`);
        if (state.noise > 0) more.push(`noise=${engine.text(state.noise)}`, `seed=${state.seed}`);
        return [
            "import ravine", "", "rules = [", ...methods, "]",
            `result = ravine.race(${JSON.stringify(FACTS.surface.text)}, rules, ${more.join(", ")})`,
            'ravine.draw.save(ravine.draw.draw(result), "race.png")',
        ].join("\n");
    };

    // CSV ----------------------------------------------------------------------------------------------------------

    // A number in the shortest digits that read back as itself, the special ones as Python writes them.
    const digits = (value) => {
        if (Number.isNaN(value)) return "nan";
        return Number.isFinite(value) ? String(Object.is(value, -0) ? "-0.0" : value) : value > 0 ? "inf" : "-inf";
    };

    const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

    const lines = (run, race, index) => {
        const n = FACTS.surface.dim, name = [String(index), run.rule, cell(ravine.label(run))].join(",");
        return Array.from(race.values, (value, t) => {
            const point = Array.from(race.positions.subarray(t * n, t * n + n), digits);
            return [name, t, ...point, digits(value), digits(race.norms[t])].join(",");
        });
    };

    // The columns of result.Race.columns(): one row a step of a run that is shown.
    ravine.csv = () => {
        const names = ["run", "rule", "label", "step", ...FACTS.surface.variables, "value", "gradient_norm"];
        const shown = state.runs.map((run, i) => [run, ravine.races[i]]).filter(([, race]) => race);
        return [names.map(cell).join(","), ...shown.flatMap(([run, race], i) => lines(run, race, i)), ""].join("\r\n");
    };

    const save = (text, name) => {
        const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
        ravine.make("a", { href: address, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(address), 1000); // not at once: the browser reads it after the click
    };

    // The dialog ---------------------------------------------------------------------------------------------------

    const copy = async (field, button, status) => {
        field.focus();
        field.select();
        let copied = false;
        try {
            await navigator.clipboard.writeText(field.value);
            copied = true;
        } catch {
            copied = false; // no clipboard here, as on some pages from disk: the text stays selected
        }
        ravine.write(button, word(copied ? "copied" : "selected"));
        ravine.write(status, word(copied ? "copied_notice" : "selected_notice"));
    };

    const box = (id, label, rows, status) => {
        const field = ravine.make("textarea", { id, readonly: true, rows, spellcheck: "false", wrap: "soft" });
        const button = ravine.make("button", { type: "button", id: `${id}-copy` }, word("copy"));
        button.addEventListener("click", () => copy(field, button, status));
        const head = ravine.make("div", { class: "box-head" }, ravine.make("label", { for: id }, label), button);
        return { field, button, element: ravine.make("div", { class: "box" }, head, field) };
    };

    // Wire the buttons of #share to a dialog with the link, the command and the Python lines.
    ravine.share = (place) => {
        const framed = location.href.startsWith("about:srcdoc"); // a notebook's frame has no address to give away
        const dialog = place.querySelector("dialog"), body = dialog.querySelector(".boxes");
        const status = dialog.querySelector(".status");
        const boxes = {
            link: box("link-text", word("link_label"), 3, status),
            command: box("command-text", word("command_label"), 4, status),
            python: box("python-text", word("python_label"), 9, status),
        };
        body.append(...Object.values(boxes).map(({ element }) => element));
        boxes.link.element.hidden = place.querySelector("#copy-link").hidden = framed;
        const open = (first) => {
            for (const key of ["command", "python"]) boxes[key].element.hidden = shownRuns().length === 0;
            boxes.link.field.value = ravine.link();
            boxes.command.field.value = ravine.command();
            boxes.python.field.value = ravine.python();
            for (const { button } of Object.values(boxes)) ravine.write(button, word("copy"));
            ravine.write(status, "");
            dialog.showModal();
            boxes[first].field.focus();
            boxes[first].field.select();
        };
        place.querySelector("#copy-command").addEventListener("click", () => open("command"));
        place.querySelector("#copy-link").addEventListener("click", () => open("link"));
        place.querySelector("#save-csv").addEventListener("click", () => save(ravine.csv(), "race.csv"));
        const ready = () => {
            for (const id of ["copy-command", "save-csv"]) {
                const button = place.querySelector(`#${id}`);
                button.disabled = shownRuns().length === 0;
                button.title = button.disabled ? word("none_shown") : "";
            }
        };
        ravine.listen(["runs"], ready);
        ready();
        dialog.querySelector(".close").addEventListener("click", () => dialog.close());
        dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    };
}
