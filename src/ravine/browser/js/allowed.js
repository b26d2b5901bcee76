// What values are allowed: nothing that is typed, or comes with a link, counts before it passed here.
// The ranges are Python's own, in engine.allowed and in the `fits` of rules and schedules.
{
    const MOST_NESTED = 4;
    const { settings: SETTINGS, numbers: NUMBERS, nested: NESTED } = engine.allowed;

    const number = (value) => typeof value === "number" && Number.isFinite(value);
    const inRange = (table, name, value) => number(value) && (!Object.hasOwn(table, name) || table[name](value));

    // Python's own sentence on why numbers do not fit each other, which is English.
    const because = (short, book, name) => {
        const known = FACTS.lang === "en" && Object.hasOwn(book, name) ? book[name].misfit : "";
        return known ? `${name}: ${known}.` : short;
    };

    let unfit = ""; // the schedule whose numbers did not fit each other, when one was read last

    // A schedule with all its numbers, or undefined.
    const schedule = (given, depth) => {
        const name = given[0];
        if (depth > MOST_NESTED || typeof name !== "string" || !Object.hasOwn(engine.schedules, name)) return undefined;
        const { parameters, defaults, fits } = engine.schedules[name];
        if (given.length - 1 > parameters.length) return undefined;
        const args = parameters.map((parameter, i) => {
            const arg = i + 1 < given.length ? given[i + 1] : defaults[parameter];
            if (Array.isArray(arg)) return NESTED.has(parameter) ? schedule(arg, depth + 1) : undefined;
            return inRange(NUMBERS, parameter, arg) ? arg : undefined;
        });
        if (args.includes(undefined)) return undefined;
        if (fits !== null && !fits(...args)) {
            unfit = name;
            return undefined;
        }
        return Object.freeze([name, ...args]);
    };

    // The first step at which a schedule leaves the range of its setting, or -1.
    const leaves = (name, value, steps) => {
        for (let t = 0; t < steps; t += 1) if (!inRange(SETTINGS, name, engine.at(value, t))) return t;
        return -1;
    };

    const refused = (name, shown, when = "") => {
        const range = ravine.wordFor("allowed", name, ravine.word("finite"));
        return ravine.word("refused", { name, value: shown, when, allowed: range });
    };

    // A setting's value as it may be used, or the sentence that says why not.
    const value = (name, given, steps) => {
        if (!Array.isArray(given)) {
            if (inRange(SETTINGS, name, given)) return { value: given };
            return { fault: refused(name, number(given) ? engine.text(given) : ravine.word("not_a_number")) };
        }
        unfit = "";
        const made = schedule(given, 1);
        if (made === undefined) {
            return { fault: because(ravine.word("bad_schedule", { name }), FACTS.schedules, unfit) };
        }
        const t = leaves(name, made, steps);
        if (t < 0) return { value: made };
        return { fault: refused(name, engine.text(engine.at(made, t)), ravine.word("at_step", { step: t })) };
    };

    // Whether a run's settings fit each other at every step.
    const fitting = (rule, settings, steps) => {
        const { fits, parameters } = engine.rules[rule];
        if (fits === null) return true;
        const last = Object.values(settings).some(Array.isArray) ? steps : 1;
        for (let t = 0; t < last; t += 1) {
            if (!fits(...parameters.map((name) => engine.at(settings[name], t)))) return false;
        }
        return true;
    };

    const isObject = (given) => given !== null && typeof given === "object";

    // A run as it may be used, frozen, or the sentence that says why not. Only names of the table are ever looked up.
    const run = (given, steps) => {
        const rule = isObject(given) && Object.hasOwn(given, "rule") ? given.rule : undefined;
        if (typeof rule !== "string" || !Object.hasOwn(FACTS.rules, rule)) return { fault: ravine.word("bad_rule") };
        const source = Object.hasOwn(given, "settings") && isObject(given.settings) ? given.settings : {};
        const settings = {};
        for (const [name, known] of Object.entries(FACTS.rules[rule].parameters)) {
            const found = value(name, Object.hasOwn(source, name) ? source[name] : known.default, steps);
            if (found.fault) return { fault: `${rule}: ${found.fault}` };
            settings[name] = found.value;
        }
        if (!fitting(rule, settings, steps)) {
            return { fault: because(ravine.word("misfit", { rule }), FACTS.rules, rule) };
        }
        const { L, m } = settings;
        if (number(L) && number(m) && m > L) return { fault: ravine.word("m_above_L") };
        const shown = !Object.hasOwn(given, "shown") || given.shown !== false;
        return { value: Object.freeze({ rule, settings: Object.freeze(settings), shown }) };
    };

    const noNumber = (name) => refused(name, ravine.word("not_a_number"));

    ravine.allowed = { number, value, run, noNumber };
}
