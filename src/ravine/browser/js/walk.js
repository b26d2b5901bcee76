// Loops over what Python generated: settings, races and maps. Stands inside the engine, between the functions of the
// surface, the rules, the schedules and the steps before it, and those of a map's cells after it.

// Settings -----------------------------------------------------------------------------------------------------------

// A setting is a number, or a schedule: [name, ...numbers].
const at = (value, t) => Array.isArray(value) ? schedules[value[0]].at(t, ...completed(value)) : value;

const completed = ([name, ...given]) => {
    const { parameters, defaults } = schedules[name];
    return parameters.map((key, i) => i < given.length ? given[i] : defaults[key]);
};

const isSteady = (value) => !Array.isArray(value) || value[0] === "constant";

const settingsOf = (rule, settings) => rule.parameters.map((key) => settings[key] ?? rule.defaults[key]);

const rowOf = ({ rule, settings }, t = 0) =>
    rules[rule].row(...settingsOf(rules[rule], settings).map((value) => at(value, t)));

const text = (value) => {
    if (!Array.isArray(value)) return numberText(value);
    const [name, ...given] = value, { parameters, defaults } = schedules[name];
    while (given.length && given.at(-1) === defaults[parameters[given.length - 1]]) given.pop();
    return `${name}(${given.map(text).join(",")})`;
};

// As Python writes a number: powers of ten from 1e16 on and below 1e-4, and those with two digits at least.
const numberText = (number) => {
    if (Number.isNaN(number)) return "nan";
    if (!Number.isFinite(number)) return number > 0 ? "inf" : "-inf";
    if (Number.isInteger(number) && Math.abs(number) < 1e15) return String(number);
    const [digits, power] = number.toExponential().split("e"), exponent = Number(power);
    if (exponent < -4 || exponent >= 16) return `${digits}e${power[0]}${power.slice(1).padStart(2, "0")}`;
    return Number.isInteger(number) ? `${number}.0` : String(number);
};

// Races --------------------------------------------------------------------------------------------------------------

// What a step and a cell work on, so that they allocate nothing.
const place = new Float64Array(surface.dim), speed = new Float64Array(surface.dim);
const asked = new Float64Array(surface.dim), slope = new Float64Array(surface.dim);
const still = new Float64Array(surface.dim).fill(-0); // the one number that changes nothing it is added to

const widest = (x) => {
    let most = 0;
    for (let i = 0; i < x.length; i += 1) most = Math.max(most, Math.abs(x[i]));
    return most; // NaN where one of them is
};

const length = (g) => {
    let squares = g[0] * g[0];
    for (let i = 1; i < g.length; i += 1) squares += g[i] * g[i];
    return Math.sqrt(squares);
};

const ballOf = (start) => BALL * Math.max(1, widest(start));

// Why a run is over here, and how many steps before this one its last usable step is; null while it goes on.
const verdictOf = (wide, value, norm, tol, ball) => {
    if (Number.isNaN(wide) || Number.isNaN(value)) return { stopped: "undefined", back: 1 };
    if (!Number.isFinite(wide) || !Number.isFinite(value)) return { stopped: "diverged", back: 1 };
    if (tol > 0 && norm <= tol) return { stopped: "gradient", back: 0 };
    return wide <= ball ? null : { stopped: "diverged", back: 0 };
};

const race = (run, { start, steps, tol = 1e-6, sigma = 0, normals = null }) => {
    const n = surface.dim, rule = rules[run.rule], move = moves[rule.pattern];
    const settings = settingsOf(rule, run.settings), steady = settings.every(isSteady), row = rowOf(run);
    const x = Float64Array.from(start), v = new Float64Array(n), g = new Float64Array(n);
    const positions = new Float64Array((steps + 1) * n), velocities = new Float64Array((steps + 1) * n);
    const values = new Float64Array(steps + 1), norms = new Float64Array(steps + 1);
    const shift = Float64Array.from(still), noisy = normals !== null && sigma > 0, ball = ballOf(x);
    let over = null, t = 0;
    for (;; t += 1) {
        positions.set(x, t * n);
        velocities.set(v, t * n);
        surface.slope(x, g);
        values[t] = surface.height(x);
        norms[t] = length(g);
        over = verdictOf(widest(x), values[t], norms[t], tol, ball);
        if (over || t === steps) break;
        if (!steady) rule.fill(row, ...settings.map((value) => at(value, t)));
        if (noisy) for (let i = 0; i < n; i += 1) shift[i] = sigma * normals[t * n + i];
        move(row, x, v, shift);
    }
    const { stopped, back } = over ?? { stopped: "steps", back: 0 };
    const last = Math.max(0, t - back); // a start without a value stays, so that there is something to show
    return {
        positions: positions.slice(0, (last + 1) * n), velocities: velocities.slice(0, (last + 1) * n),
        values: values.slice(0, last + 1), norms: norms.slice(0, last + 1), steps: last, stopped,
    };
};

// Maps ---------------------------------------------------------------------------------------------------------------

const outcomeOf = (f, wide, target, ball) => {
    if (Number.isNaN(f) || Number.isNaN(wide)) return UNDEFINED;
    if (!Number.isFinite(f)) return DIVERGED;
    if (f <= target) return REACHED;
    return wide <= ball ? NOT_YET : DIVERGED;
};

// Growth is looked for in the last quarter of the blocks of steps.
const blocksBeforeLast = (steps) => {
    const blocks = Math.floor(steps / BLOCK) + 1;
    return blocks - Math.floor(blocks / 4);
};

// First one cell of every 4 x 4, then those that lie in the middle between the ones before.
const PLACES = [
    [0, 0], [2, 2], [0, 2], [2, 0], [1, 1], [3, 3], [1, 3], [3, 1],
    [0, 1], [2, 3], [0, 3], [2, 1], [1, 0], [3, 2], [1, 2], [3, 0],
];

const coarseFirst = (rows, columns) => {
    const order = new Int32Array(rows * columns);
    let k = 0;
    for (const [down, right] of PLACES) {
        for (let i = down; i < rows; i += 4) {
            for (let j = right; j < columns; j += 4, k += 1) order[k] = i * columns + j;
        }
    }
    return order;
};

// The row of each cell, x across and y down; `renew` writes it anew for a step where a schedule changes it.
const rowsOf = (rule, settings, x, y) => {
    const given = settingsOf(rule, settings), numbers = given.map((value) => at(value, 0));
    const [across, down] = [x, y].map((axis) => rule.parameters.indexOf(axis.name));
    const changing = given.flatMap((value, i) => i === across || i === down || isSteady(value) ? [] : [i]);
    return {
        begin: (cell, row) => {
            if (across >= 0) numbers[across] = x.values[cell % x.values.length];
            if (down >= 0) numbers[down] = y.values[Math.floor(cell / x.values.length)];
            rule.fill(row, ...numbers);
        },
        renew: changing.length === 0 ? null : (t, row) => {
            for (const i of changing) numbers[i] = at(given[i], t);
            rule.fill(row, ...numbers);
        },
    };
};

const map = ({ rule: name, settings, x, y, start, steps, target = null, quadratic = surface.quadratic }) => {
    const { begin, renew } = rowsOf(rules[name], settings, x, y), walkCell = cells[rules[name].pattern];
    const order = coarseFirst(y.values.length, x.values.length), count = order.length;
    const from = Float64Array.from(start), ball = ballOf(from), low = target ?? -Infinity;
    const row = new Float64Array(5), found = new Float64Array(5);
    const outcome = new Uint8Array(count).fill(NOT_WALKED), stopped = new Int32Array(count);
    const value = new Float64Array(count).fill(NaN);
    let walked = 0;
    const walk = (cell) => {
        begin(cell, row);
        walkCell(row, renew, from, steps, low, ball, found);
        const [t, f, why, early, late] = found;
        stopped[cell] = t;
        value[cell] = f;
        // On a quadratic what still grows in the end goes on growing for ever.
        outcome[cell] = quadratic && why === NOT_YET && late > early ? DIVERGED : why;
    };
    const some = (milliseconds) => {
        const end = performance.now() + milliseconds;
        while (walked < count) {
            walk(order[walked]);
            walked += 1;
            if (performance.now() >= end) break;
        }
        return walked === count;
    };
    return {
        some, order, outcome, stopped, value,
        get walked() { return walked; },
        get done() { return walked / count; },
    };
};
