// The store: what is shown, what follows from it, and who is told. A patch is checked before it counts, and only what
// it changed is computed. Runs and their settings are never written to, a change makes new ones.
{
    const MOST_RUNS = 9;
    const KEPT_TIMINGS = 300;
    const FARTHEST = 1e12; // a start, or an edge of the view, beyond which nothing can be drawn
    const { allowed, word } = ravine;

    const state = {
        runs: [], focus: 0, together: false, start: FACTS.start.slice(), steps: FACTS.steps, noise: FACTS.noise,
        seed: FACTS.seed, time: null, view: null, place: null, theme: "auto",
    };
    ravine.state = state;
    ravine.races = [];
    ravine.mostRuns = MOST_RUNS;
    ravine.timings = [];
    ravine.tell = () => {}; // main.js shows what is told here in the page

    // What may come in ---------------------------------------------------------------------------------------------

    const whole = (value, low, high) => (Number.isInteger(value) ? Math.min(Math.max(value, low), high) : undefined);
    const coordinate = (value) => allowed.number(value) && Math.abs(value) <= FARTHEST;
    const range = (pair) =>
        Array.isArray(pair) && pair.length === 2 && pair.every(coordinate) && pair[0] < pair[1];

    const mostSteps = (noise) => (noise > 0 ? Math.min(FACTS.mostSteps, FACTS.normals.steps) : FACTS.mostSteps);

    const point = (given) => Array.isArray(given) && given.length === FACTS.surface.dim && given.every(coordinate);
    const box = (given) => Array.isArray(given) && given.length === 2 && given.every(range);

    // What a field takes, for when it is refused.
    const takes = {
        start: () => word("takes.start", { most: FARTHEST.toExponential().replace("+", "") }),
        noise: () => word("takes.noise"),
        seed: () => word("takes.seed", { seeds: FACTS.normals.seeds.join(word("comma")) }),
        steps: (next) => word("takes.steps", { most: mostSteps(next.noise) }),
    };
    const field = (key, next) => {
        const name = ravine.wordFor("field", key);
        return Object.hasOwn(takes, key) ? word("field_takes", { name, allowed: takes[key](next) }) : name;
    };
    ravine.refusal = (key) => word("dropped", { names: field(key, state) });

    // The value to use, or undefined; in this order, because later ones lean on earlier ones.
    const checks = {
        start: (given) => (point(given) ? given.slice() : undefined),
        noise: (given) => (allowed.number(given) && given >= 0 ? given : undefined),
        seed: (given) => (FACTS.normals.seeds.includes(given) ? given : undefined),
        steps: (given, next, faults) => {
            const cut = whole(given, 1, mostSteps(next.noise));
            if (cut !== undefined && cut !== given) faults.push(word("cut_steps", { allowed: takes.steps(next) }));
            return cut;
        },
        runs: (given, next, faults) => checkedRuns(given, next.steps, faults),
        focus: (given, next) => whole(given, 0, Math.max(0, next.runs.length - 1)),
        together: (given) => (typeof given === "boolean" ? given : undefined),
        time: (given, next) => (given === null ? null : whole(given, 0, next.steps)),
        view: (given) => (given === null ? null : box(given) ? given.map((pair) => pair.slice()) : undefined),
        place: (given) => (given === null ? null : whole(given, 0, FACTS.places.length - 1)),
        theme: (given) => (["auto", "light", "dark"].includes(given) ? given : undefined),
    };

    const known = new WeakMap(); // runs that passed, and for how many steps
    const ours = new WeakMap(); // their settings, which stay the same object while a run is hidden and shown

    const checkedRun = (given, steps, faults) => {
        if (known.get(given) >= steps) return given;
        const { value, fault } = allowed.run(given, steps);
        if (fault) {
            faults.push(fault);
            return undefined;
        }
        const old = ours.get(given.settings) === value.rule;
        const run = old ? Object.freeze({ ...value, settings: given.settings }) : value;
        known.set(run, steps);
        ours.set(run.settings, run.rule);
        return run;
    };

    const lasts = (run, steps, faults) => {
        const fine = Boolean(checkedRun(run, steps, faults));
        if (fine) known.set(run, Math.max(steps, known.get(run) || 0));
        return fine;
    };

    const checkedRuns = (given, steps, faults) => {
        if (!Array.isArray(given)) return undefined;
        if (given.length > MOST_RUNS) faults.push(word("most_runs", { most: MOST_RUNS }));
        const runs = given.slice(0, MOST_RUNS).map((run) => checkedRun(run, steps, faults)).filter((run) => run);
        return runs.length > 0 ? runs : undefined;
    };

    const same = (a, b) => a === b || (Array.isArray(a) && Array.isArray(b) && JSON.stringify(a) === JSON.stringify(b));

    // More steps may lead a schedule out of its range, fewer runs the focus out of theirs.
    const settle = (next, faults) => {
        const most = mostSteps(next.noise);
        if (next.steps > most) faults.push(word("noise_steps", { steps: (next.steps = most) }));
        if (!next.runs.every((run) => lasts(run, next.steps, faults))) next.steps = state.steps;
        next.focus = Math.min(next.focus, Math.max(0, next.runs.length - 1));
        if (next.time !== null) next.time = Math.min(next.time, next.steps);
    };

    // Every field of a patch that is allowed, and what is to be said of the others.
    const checked = (patch) => {
        const next = { ...state }, faults = [], dropped = [];
        for (const [key, check] of Object.entries(checks)) {
            if (!Object.hasOwn(patch, key)) continue;
            const before = faults.length, found = check(patch[key], next, faults);
            if (found !== undefined) next[key] = found;
            else if (faults.length === before) dropped.push(field(key, next));
        }
        if (dropped.length > 0) faults.push(word("dropped", { names: dropped.join(word("comma")) }));
        settle(next, faults);
        return { next, faults };
    };

    // What follows -------------------------------------------------------------------------------------------------

    const streams = (() => { // numbers of the noise, decoded when somebody first asks for noise
        let all = null;
        return () => {
            if (all) return all;
            const bytes = Uint8Array.from(atob(FACTS.normals.base64), (letter) => letter.charCodeAt(0));
            all = new Float64Array(bytes.buffer);
            return all;
        };
    })();

    const normals = () => {
        if (state.noise === 0) return null;
        const n = FACTS.surface.dim, at = FACTS.normals.seeds.indexOf(state.seed) * FACTS.normals.steps * n;
        return streams().subarray(at, at + state.steps * n);
    };

    let done = new WeakMap(); // races by the settings they ran with, until the start, steps or noise change

    const raceOf = (run, common) => {
        if (!run.shown) return null;
        if (!done.has(run.settings)) done.set(run.settings, engine.race(run, common));
        return done.get(run.settings);
    };

    const recompute = (changed) => {
        if (!["runs", "start", "steps", "noise", "seed"].some((key) => changed.has(key))) return;
        if (["start", "steps", "noise", "seed"].some((key) => changed.has(key))) done = new WeakMap();
        const start = Float64Array.from(state.start), { steps, noise: sigma } = state;
        const common = { start, steps, tol: FACTS.tol, sigma, normals: normals() };
        const races = state.runs.map((run) => raceOf(run, common));
        if (races.length === ravine.races.length && races.every((race, i) => race === ravine.races[i])) return;
        ravine.races = races;
        changed.add("races");
    };

    // Who is told --------------------------------------------------------------------------------------------------

    const listeners = [];
    ravine.listen = (keys, fn) => listeners.push({ keys, fn });

    const notify = (changed) => {
        for (const { keys, fn } of listeners) {
            if (!keys.some((key) => changed.has(key))) continue;
            try {
                fn(changed);
            } catch (error) {
                reportError(error); // one picture that fails must not stop the others
            }
        }
    };

    // What is told stays until one of the fields that it is about is set to something that is allowed.
    let about = [];
    const report = (faults, keys) => {
        if (faults.length > 0) ravine.tell([...new Set(faults)].join(" "));
        else if (keys.some((key) => about.includes(key))) ravine.tell("");
        else return;
        about = faults.length > 0 ? keys : [];
    };

    // Merge a patch; returns what was refused, in sentences, none where all of it was taken.
    ravine.change = (patch) => {
        const began = performance.now();
        const { next, faults } = checked(patch);
        const changed = new Set(Object.keys(next).filter((key) => !same(next[key], state[key])));
        for (const key of changed) state[key] = next[key];
        recompute(changed);
        if (changed.size > 0) notify(changed);
        report(faults, Object.keys(patch));
        ravine.timings.push(performance.now() - began);
        if (ravine.timings.length > KEPT_TIMINGS) ravine.timings.shift();
        return faults;
    };

    // Settings -----------------------------------------------------------------------------------------------------

    const withSettings = (run, settings) => ({ ...run, settings: { ...run.settings, ...settings } });
    const has = (run, name) => Object.hasOwn(run.settings, name);

    // Set one setting of the focused run, or of all runs that have it when all rules move together.
    ravine.set = (name, value) => {
        const all = state.together && has(ravine.focused(), name);
        const touched = (run, i) => has(run, name) && (all || i === state.focus);
        return replaced((run, i) => (touched(run, i) ? withSettings(run, { [name]: value }) : run));
    };

    // Set several settings of the focused run alone.
    ravine.setAll = (settings) => replaced((run, i) => (i === state.focus ? withSettings(run, settings) : run));

    // A run whose new settings are refused stays as it was.
    const replaced = (make) => {
        const faults = [];
        const runs = state.runs.map((run, i) => {
            const made = make(run, i);
            return made === run ? run : checkedRun(made, state.steps, faults) || run;
        });
        const more = ravine.change({ runs });
        if (faults.length > 0) report(faults, ["runs"]);
        return [...faults, ...more];
    };

    // Which run has the focus at first: one with a momentum, whose map has more to show than that of gradient descent.
    ravine.leading = (runs) => Math.max(0, runs.findIndex(({ settings }) => Object.hasOwn(settings, "mu")));

    ravine.focused = () => state.runs[state.focus];

    const labelled = (run, text) => {
        const defaults = engine.rules[run.rule].defaults;
        const words = Object.entries(run.settings).filter(([name, value]) => defaults[name] !== value);
        return [run.rule, ...words.map(([name, value]) => `${name}=${text(value)}`)].join(" ");
    };
    ravine.label = (run) => labelled(run, engine.text);
    ravine.briefLabel = (run) => labelled(run, ravine.brief);

    // How a run ended, in the words of draw/data.py, outcome.
    ravine.outcome = (race) => {
        const value = ravine.number(race.values[race.steps]), failed = ["diverged", "undefined"].includes(race.stopped);
        return word(failed ? `outcome.${race.stopped}` : "outcome.value", { value, steps: race.steps });
    };

    // Colours ------------------------------------------------------------------------------------------------------

    const darkness = globalThis.matchMedia ? matchMedia("(prefers-color-scheme: dark)") : { matches: false };
    ravine.dark = () => (state.theme === "auto" ? darkness.matches : state.theme === "dark");
    ravine.colour = (i) => {
        const palette = ravine.dark() ? FACTS.colours.dark : FACTS.colours.light;
        return palette[i % palette.length];
    };
    if (darkness.addEventListener) {
        darkness.addEventListener("change", () => state.theme === "auto" && notify(new Set(["theme"])));
    }
}
