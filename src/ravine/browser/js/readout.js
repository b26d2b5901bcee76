// The read-out of the focused run: what theory says of the place it leads to, in the words of `ravine predict`, beside
// what was measured. It is written once a frame at most, however fast a slider moves.
{
    const { state, word, make, write } = ravine;
    const FLOOR = 1e-12; // of the largest gradient norm: below, rounding is measured and not decay (cells.py)
    const SAME = 1e-12; // a rate this near to 1 is 1 (prediction.py)
    const MOST_ROWS = 60;

    // The place ----------------------------------------------------------------------------------------------------

    const distance = (race, point) => {
        const n = point.length, end = race.positions.subarray(race.steps * n, race.steps * n + n);
        return Math.hypot(...point.map((c, i) => c - end[i]));
    };

    // The place that somebody chose, else the one nearest to where the focused run ended; null where none is known.
    ravine.place = () => {
        const race = ravine.races[state.focus];
        if (FACTS.places.length === 0) return null;
        if (state.place !== null) return FACTS.places[state.place];
        const fled = race && ["diverged", "undefined"].includes(race.stopped);
        if (!race || fled || FACTS.places.length === 1) return FACTS.places[0];
        const far = FACTS.places.map((place) => distance(race, place.point));
        return FACTS.places[far.indexOf(Math.min(...far))];
    };

    // What is predicted of the focused run there, null where nothing can be.
    ravine.predicted = () => {
        const run = ravine.focused(), place = ravine.place(), { steps, noise, start } = state;
        return place ? ravine.ask(() => engine.predict(run, place, steps, { noise, start })) : null;
    };

    // Why no best settings are known for a run: what they lean on is the place, the rule, or another nu.
    ravine.noOptimum = (run) => {
        const place = ravine.place();
        if (!place || !place.h.some((h) => h > 0) || place.h.some((h) => h < 0)) return word("no_optimum");
        const { optima, fixed } = FACTS.rules[run.rule], { nu } = run.settings;
        const known = optima[FACTS.places.indexOf(place)];
        if (!known) return word("no_best", { rule: run.rule });
        if (nu === undefined || nu === fixed.nu) return word("no_best_here", { rule: run.rule });
        return word("other_nu", { nu: ravine.brief(nu), known: ravine.brief(fixed.nu) });
    };

    // Measured -----------------------------------------------------------------------------------------------------

    // The factor per step by which a swinging, shrinking (or growing) norm changes, late in it (cells.measured_rates).
    const measured = (norms) => {
        const filled = Array.from(norms, (g) => (Number.isFinite(g) ? g : -1));
        const top = filled.reduce((a, b) => Math.max(a, b), -1), peak = filled.indexOf(top);
        const sunk = filled.findIndex((g, t) => t >= peak && g <= FLOOR * top);
        const ended = filled.filter((g) => g >= 0).length, length = sunk < 0 ? ended : Math.min(sunk, ended);
        if (length < 8) return NaN;
        const late = filled.slice(Math.floor(length / 2), length), width = late.length;
        const grows = late.indexOf(Math.max(...late)) >= width / 2;
        if (!grows) late.reverse();
        for (let i = 1; i < width; i += 1) late[i] = Math.max(late[i], late[i - 1]);
        if (!grows) late.reverse();
        const edge = Math.floor(width / 8);
        return slope(grows ? late.slice(edge) : late.slice(0, width - edge));
    };

    // e to the slope of the line through the logarithms.
    const slope = (envelope) => {
        if (envelope.some((g) => !(g > 0))) return NaN;
        const middle = (envelope.length - 1) / 2;
        let up = 0, across = 0;
        envelope.forEach((g, t) => {
            up += (t - middle) * Math.log(g);
            across += (t - middle) ** 2;
        });
        return Math.exp(up / across);
    };
    ravine.measured = measured;

    // Words --------------------------------------------------------------------------------------------------------

    const some = (value) => value !== null && value !== undefined && !Number.isNaN(value);
    const told = (value, digits = 4) => {
        if (!some(value)) return "–";
        return Math.abs(value) === Infinity ? `${value < 0 ? "-" : ""}∞` : ravine.digits(value, digits);
    };
    const inSteps = (value) => (some(value) ? word("n_steps", { steps: told(value, 3) }) : "–");

    const optimumText = ({ optimum }) => {
        const words = Object.entries(optimum ? optimum.settings : {}).map(([name, v]) => `${name}=${ravine.digits(v, 4)}`);
        return words.join(" ") || "–";
    };

    // In lr where the rule has one, else in the curvature that its settings hold.
    const limitText = ({ limit }) => (some(limit.lr) ? `lr < ${told(limit.lr)}` : `h < ${told(limit.h)}`);

    const placeName = (place) => {
        const point = place.point.slice(0, 3).map((c) => ravine.digits(Number(c.toFixed(9)), 3)).join(", ");
        const kind = ravine.wordFor("kind", place.kind);
        return `${kind} (${point}${place.point.length > 3 ? ", …" : ""})`;
    };

    // The elements -------------------------------------------------------------------------------------------------

    const FIGURES = ["rate", "measured", "digit", "limit", "effective", "acceleration", "optimum"];

    const figures = () => {
        const list = make("dl", { class: "figures" }), found = {};
        for (const key of FIGURES) {
            const title = make("dt", { title: ravine.wordFor("why", key, "") }, word(key));
            found[key] = make("dd", { id: `figure-${key}` }, make("output", {}));
            list.append(make("div", { class: `figure ${key}` }, title, found[key]));
        }
        return { list, found };
    };

    const COLUMNS = ["h", "regime", "rate", "period", "digit"];

    const table = () => {
        const titles = COLUMNS.map((key) => make("th", { scope: "col" }, word(`column_${key}`)));
        const body = make("tbody"), head = make("thead", {}, make("tr", {}, ...titles));
        const whole = make("table", {}, make("caption", {}, word("directions")), head, body);
        const scrolled = { class: "directions", tabindex: "0", role: "region", "aria-label": word("directions") };
        return { element: make("div", scrolled, whole), body };
    };

    const fillTable = (body, directions) => {
        while (body.rows.length > directions.length) body.deleteRow(-1);
        directions.forEach((direction, i) => {
            const row = i < body.rows.length ? body.rows[i] : body.insertRow();
            while (row.cells.length < COLUMNS.length) row.append(make(row.cells.length ? "td" : "th", {}));
            const { h, rate, period, steps_per_ten: digit } = direction;
            const regime = ravine.wordFor("regime", direction.regime);
            const cells = [told(h, 6), regime, told(rate, 6), inSteps(period), inSteps(digit)];
            cells.forEach((text, j) => write(row.cells[j], text));
            row.className = direction.regime === "diverging" ? "failed" : "";
        });
    };

    // What is said -------------------------------------------------------------------------------------------------

    const figuresOf = (said, race) => {
        const slowest = said && said.rate > 0 && said.rate !== 1 ? Math.LN10 / Math.abs(Math.log(said.rate)) : null;
        return {
            rate: said ? told(said.rate, 6) : "–",
            measured: race ? told(measured(race.norms), 6) : "–",
            digit: said && some(slowest) && Number.isFinite(slowest) ? inSteps(slowest) : "–",
            limit: said ? limitText(said) : "–",
            effective: said ? told(said.effective_lr) : "–",
            acceleration: said && some(said.acceleration) ? `× ${told(said.acceleration)}` : "–",
            optimum: said ? optimumText(said) : "–",
        };
    };

    const placeSelect = () => {
        const select = make("select", { id: "place", "aria-label": word("place") });
        select.append(make("option", { value: "" }, word("nearest_place")));
        FACTS.places.forEach((place, i) => select.append(make("option", { value: i }, placeName(place))));
        select.hidden = FACTS.places.length < 2;
        select.addEventListener("change", () => {
            ravine.change({ place: select.value === "" ? null : Number(select.value) });
        });
        return select;
    };

    ravine.readout = (element) => {
        const name = make("span", { class: "who" }), { list, found } = figures(), directions = table();
        const verdict = make("p", { id: "verdict", class: "verdict", "aria-live": "polite" }), select = placeSelect();
        const head = make("div", { class: "readout-head" }, make("h2", {}, word("readout"), " ", name), select);
        element.append(head, verdict, list, directions.element);
        const update = () => {
            const run = ravine.focused(), race = ravine.races[state.focus], place = ravine.place();
            const said = ravine.predicted();
            write(name, ravine.briefLabel(run));
            name.title = ravine.label(run);
            write(verdict, said ? said.verdict : word(place ? "no_prediction" : "no_place"));
            verdict.classList.toggle("failed", Boolean(said) && said.rate > 1 + SAME);
            select.value = state.place === null ? "" : String(state.place);
            const texts = figuresOf(said, race);
            for (const key of FIGURES) {
                write(found[key].firstChild, texts[key]);
                found[key].parentElement.hidden = !said && texts[key] === "–";
            }
            found.optimum.title = !said || said.optimum ? "" : ravine.noOptimum(run);
            directions.element.hidden = !said;
            fillTable(directions.body, said ? said.directions.slice(0, MOST_ROWS) : []);
            element.style.setProperty("--run", ravine.colour(state.focus));
        };
        ravine.listen(["runs", "focus", "races", "place", "theme"], onceAFrame(update));
        update();
    };

    const onceAFrame = (fn) => {
        let waiting = false;
        return () => {
            if (waiting) return;
            waiting = true;
            requestAnimationFrame(() => {
                waiting = false;
                fn();
            });
        };
    };
}
