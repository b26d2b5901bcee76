// What theory says of a run at a place: the functions of the Python package, translated, fed with a run of the page.
// A method is what they call a rule with its settings; places and best settings are data that Python computed.

// `optimumOf` knows the best settings of a run's rule at a place, as {settings, rate} or null.
const foresight = (engine, {lang = "en", optimumOf = () => null} = {}) => {
    // RUNTIME

    const steady = (value) => !Array.isArray(value) || value[0] === "constant";

    const rowOf = (name, settings) => {
        const {parameters, row} = engine.rules[name];
        return Array.from(row.apply(engine.rules[name], parameters.map((key) => settings[key])));
    };

    const methodOf = (run) => {
        const settings = {...engine.rules[run.rule].defaults, ...run.settings};
        return {
            name: run.rule,
            settings,
            steady: Object.values(settings).every(steady),
            rule: {row: (numbers) => rowOf(run.rule, numbers)},
            row: (t) => {
                const now = Object.entries(settings).map(([key, value]) => [key, engine.at(value, t)]);
                return rowOf(run.rule, Object.fromEntries(now));
            },
        };
    };

    const outlook$descent = (lr) => methodOf({rule: "sgd", settings: {lr}});

    // FUNCTIONS

    // As `ravine predict` says it; `start` is asked for only by noise under a schedule.
    const predict = (run, place, steps, {noise = 0, start = null} = {}) => {
        const method = methodOf(run), best = optimumOf(run, place) ?? null;
        const bestOf = (settings) => (best === null ? null : FITTING(best.settings, best.rate, settings));
        const found = OUTLOOK(method, place, steps, noise, bestOf);
        if (noise > 0 && start !== null && place.kind !== "slope" && !method.steady) {
            const errors = start.map((x, i) => x - place.point[i]);
            found.left = ENDING(method, place.h, place.vectors, errors, steps, noise);
        }
        found.verdict = VERDICT(found, method, noise, BOOKS[lang]);
        return found;
    };

    // The momentum at which the poles along a curvature meet, NaN where they do not.
    const criticalMu = (rule, settings, h) => {
        const given = {...engine.rules[rule].defaults, ...settings};
        return engine.rules[rule].parameters.includes("mu") ? CRITICAL((mu) => rowOf(rule, {...given, mu}), h) : NaN;
    };

    // The learning rate below which a rule is stable, null where it has none or does not step in proportion to it.
    const limitLr = (rule, settings, h) => {
        const given = {...engine.rules[rule].defaults, ...settings};
        return engine.rules[rule].parameters.includes("lr") ? LIMIT((lr) => rowOf(rule, {...given, lr}), h, 1) : null;
    };

    return {predict, criticalMu, limitLr};
};
