// Everything that is set for all runs: presets, theme, start, steps, noise; and the buttons that set the focused run to
// what theory says is best, critical, or the limit.
{
    const { state, word, make, writeField } = ravine;
    const MOST_COORDINATES = 4; // that get a field each

    // Optimum, critical, limit ---------------------------------------------------------------------------------------

    const numbersOf = (settings) =>
        Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, engine.at(value, 0)]));
    const lacks = ({ rule, settings }, name) =>
        (Object.hasOwn(settings, name) ? null : word("no_setting", { rule, name }));
    const upward = () => {
        const place = ravine.place();
        return place ? place.h.filter((h) => h > 0) : [];
    };
    const tidy = (value) => Number(value.toPrecision(12));

    // Each answers with the settings to use, or with the sentence that says why there are none.
    const targets = {
        optimum: (run) => {
            const said = ravine.predicted();
            return said && said.optimum ? { settings: said.optimum.settings } : { fault: ravine.noOptimum(run) };
        },
        critical: (run) => {
            const missing = lacks(run, "mu") || lacks(run, "lr"), h = upward();
            if (missing || h.length === 0) return { fault: missing || word("no_curvature") };
            const mu = ravine.ask(() => engine.criticalMu(run.rule, numbersOf(run.settings), Math.min(...h)));
            return allowed(run, "mu", mu) ? { settings: { mu: tidy(mu) } } : { fault: word("no_critical") };
        },
        limit: (run) => {
            const missing = lacks(run, "lr"), h = upward();
            if (missing || h.length === 0) return { fault: missing || word("no_curvature") };
            const lr = ravine.ask(() => engine.limitLr(run.rule, numbersOf(run.settings), Math.max(...h)));
            return lr > 0 && allowed(run, "lr", lr) ? { settings: { lr: tidy(lr) } } : { fault: word("no_limit") };
        },
    };
    const allowed = (run, name, value) => ravine.allowed.number(value) && !ravine.allowed.value(name, value, 1).fault;

    const theoryButtons = () => {
        const made = Object.keys(targets).map((key) => {
            const button = make("button", { type: "button", id: `go-${key}` }, word(key));
            button.addEventListener("click", () => {
                const { settings, fault } = targets[key](ravine.focused());
                if (settings) ravine.setAll(settings);
                else ravine.tell(fault);
            });
            return { key, button };
        });
        // A button that can do nothing stays reachable, so that its reason can be read by everybody.
        const update = () => {
            for (const { key, button } of made) {
                const { fault } = targets[key](ravine.focused());
                button.setAttribute("aria-disabled", String(Boolean(fault)));
                button.title = fault || ravine.wordFor("why", key, "");
            }
        };
        return { element: make("div", { class: "buttons" }, ...made.map(({ button }) => button)), update };
    };

    // Start, steps, noise --------------------------------------------------------------------------------------------

    const numberField = (id, label, given, commit, { key, when = "input" }) => {
        const input = make("input", { type: "number", id, step: "any", inputmode: "decimal", ...given });
        input.addEventListener(when, () => {
            const fine = input.value !== "" && commit(Number(input.value)).length === 0;
            input.setAttribute("aria-invalid", String(!fine));
        });
        ravine.numeric(input, () => ravine.refusal(key));
        return { input, element: make("label", { class: "field", for: id }, make("span", {}, label), input) };
    };

    const startFields = () => FACTS.surface.variables.slice(0, MOST_COORDINATES).map((name, i) =>
        numberField(`start-${i}`, word("start_of", { name }), {}, (value) =>
            ravine.change({ start: state.start.map((old, j) => (j === i ? value : old)), time: null }),
        { key: "start" }));

    const stepsRow = () => {
        const most = FACTS.mostSteps, set = (steps) => ravine.change({ steps });
        const slider = make("input", { type: "range", id: "steps-slider", min: 1, max: most, step: 1 });
        slider.setAttribute("aria-label", word("steps"));
        slider.addEventListener("input", () => set(Number(slider.value)));
        // Half a number of steps is one too: it counts when it was typed to its end.
        const given = { min: 1, max: most, step: 1, inputmode: "numeric" };
        const exact = numberField("steps", word("steps"), given, set, { key: "steps", when: "change" });
        exact.input.addEventListener("change", () => {
            exact.input.value = state.steps;
            exact.input.removeAttribute("aria-invalid"); // what was cut is fine now
        });
        const update = () => {
            if (document.activeElement !== exact.input) writeField(exact.input, String(state.steps));
            if (Number(slider.value) !== state.steps) slider.value = state.steps;
        };
        return { element: make("div", { class: "steps-row" }, exact.element, slider), update };
    };

    const seedField = () => {
        const options = FACTS.normals.seeds.map((seed) => make("option", { value: seed }, String(seed)));
        const select = make("select", { id: "seed" }, ...options);
        select.addEventListener("change", () => ravine.change({ seed: Number(select.value) }));
        const update = () => {
            select.value = state.seed;
            select.disabled = state.noise === 0;
        };
        const element = make("label", { class: "field", for: "seed" }, make("span", {}, word("seed")), select);
        return { element, update };
    };

    const experiment = (place) => {
        const steps = stepsRow(), seed = seedField();
        const starts = FACTS.surface.dim <= MOST_COORDINATES ? startFields() : [];
        const noise = numberField("noise", word("noise"), { min: 0 }, (value) => ravine.change({ noise: value }),
            { key: "noise" });
        noise.element.title = word("noise_meaning");
        const fields = [...starts.map(({ element }) => element), noise.element, seed.element];
        place.append(steps.element, make("div", { class: "fields" }, ...fields));
        const update = () => {
            starts.forEach(({ input }, i) => ravine.writeNumber(input, state.start[i]));
            ravine.writeNumber(noise.input, state.noise);
            steps.update();
            seed.update();
        };
        for (const input of place.querySelectorAll("input")) {
            input.addEventListener("blur", () => settled(input, update));
        }
        ravine.listen(["start", "steps", "noise", "seed"], update);
        update();
    };

    const settled = (input, update) => {
        input.removeAttribute("aria-invalid");
        update();
    };

    const together = () => {
        const box = make("input", { type: "checkbox", id: "together" });
        box.addEventListener("change", () => ravine.change({ together: box.checked }));
        ravine.listen(["together"], () => (box.checked = state.together));
        return make("label", { class: "check" }, box, make("span", {}, word("together")));
    };

    // The controls of all runs, and of the focused one, into #controls.
    ravine.controls = (place) => {
        const { element, update } = theoryButtons();
        ravine.runs(place.querySelector("#runs"));
        ravine.settings(place.querySelector("#settings"));
        place.querySelector("#theory").append(element, together());
        experiment(place.querySelector("#experiment"));
        const owner = place.querySelector("#settings-of");
        const name = () => ravine.write(owner, ravine.focused() ? ravine.focused().rule : "");
        ravine.listen(["runs", "focus"], name);
        ravine.listen(["runs", "focus", "place"], update);
        name();
        update();
    };

    // Presets and theme ----------------------------------------------------------------------------------------------

    const opened = () => ({ key: "opened", runs: FACTS.runs, start: FACTS.start, steps: FACTS.steps });

    ravine.presets = (select) => {
        const presets = [opened(), ...FACTS.presets];
        select.append(...presets.map(({ key }) => make("option", { value: key }, ravine.wordFor("preset", key))));
        let applying = false;
        select.addEventListener("change", () => {
            const preset = presets.find(({ key }) => key === select.value);
            if (!preset) return;
            const quiet = preset.key === "opened" ? { noise: FACTS.noise, seed: FACTS.seed } : { noise: 0 };
            applying = true;
            const { runs, start, steps } = preset;
            const focus = ravine.leading(runs);
            ravine.change({ ...quiet, runs, focus, start, steps, time: null, view: null, place: null });
            applying = false;
        });
        // A preset that was changed is none any more.
        ravine.listen(["runs", "start", "steps", "noise"], () => {
            if (!applying) select.value = "";
        });
    };

    ravine.theme = (select) => {
        for (const key of ["auto", "light", "dark"]) select.append(make("option", { value: key }, word(key)));
        select.addEventListener("change", () => ravine.change({ theme: select.value }));
        const update = () => {
            select.value = state.theme;
            document.documentElement.dataset.theme = state.theme;
        };
        ravine.listen(["theme"], update);
        update();
    };
}
