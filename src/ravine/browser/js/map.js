// The (lr, mu) map of the focused rule with the theory's lines; moving in it sets both, and the paths follow.
{
    const STROKES = {
        boundary: { dash: [], width: 2 }, slow: { dash: [6, 3], width: 1.3 }, fast: { dash: [2, 2], width: 1.3 },
    };
    const OPTIMUM = "#D55E00";
    const { word } = ravine;

    const scaleOf = (axis) => ravine.scales[axis.scale];
    const there = (axis, value) => scaleOf(axis).there(value);

    // A map is drawn evenly in `there` of its axes' scales, so that all cells are as wide; ticks carry the settings.
    const span = (axis) => {
        const low = there(axis, axis.low), high = there(axis, axis.high), half = (high - low) / (axis.size - 1) / 2;
        return [low - half, high + half];
    };

    // `ravine.map.walker` is the map that was painted last, `ravine.map.times` how long it took, in milliseconds.
    ravine.map = async (element) => {
        const plot = await draw.embed(element, FACTS.items.map, "map");
        plot.legend = draw.legend(element);
        plot.remark = draw.remark(element);
        plot.palette = Array.from(plot.find("colours").palette);
        plot.known = null;
        plot.key = "";
        // A line for other fixed settings takes a while to find, so it waits until these rest.
        plot.others = draw.later(() => {
            if (plot.known === null || plot.fitting) return;
            plot.lines = draw.theory(ravine.focused(), plot.known);
            theory(plot);
            if (plot.walker) paint(plot, plot.walker);
        });
        const walk = draw.walks((walker) => paint(plot, walker));
        const handle = draw.handle(plot, {
            name: word("picture.settings"), kind: "settings", says: () => ravine.label(ravine.focused()),
            moved: (x, y) => moved(plot, x, y),
        });
        pad(plot, handle);
        const update = () => {
            axes(plot, handle);
            if (plot.known) again(plot, walk);
            settle(plot, handle);
        };
        const dress = () => {
            const { ink, rim } = draw.looks(), bar = plot.find("bar");
            plot.find("rims").glyph.line_color = rim;
            plot.find("lines").glyph.line_color = ink;
            plot.find("optimum").glyph.line_color = ink;
            bar.setv({ major_label_text_color: ink, major_tick_line_color: ink });
            if (plot.walker) paint(plot, plot.walker);
        };
        dress();
        update();
        ravine.listen(["runs", "focus", "start", "steps"], update);
        ravine.listen(["theme"], dress);
    };

    ravine.map.times = { coarse: null, full: null };

    // Axes, lines and optimum of the focused rule; only where another rule has the focus.
    const axes = (plot) => {
        const { rule } = ravine.focused();
        if (plot.rule === rule) return;
        plot.rule = rule;
        plot.known = FACTS.rules[rule].map;
        plot.box.hidden = plot.known === null;
        plot.key = "";
        plot.walker = null;
        if (plot.known === null) {
            plot.legend([]);
            plot.remark(word("picture.no_map", { rule }));
            return;
        }
        plot.remark("");
        const sides = [[plot.known.x, plot.x, plot.figure.below[0]], [plot.known.y, plot.y, plot.figure.left[0]]];
        for (const [axis, range, model] of sides) {
            draw.range(range, span(axis));
            const ticks = draw.ticks(axis), places = ticks.map((value) => there(axis, value));
            model.ticker.ticks = places;
            model.major_label_overrides = new Map(places.map((place, k) => [place, ravine.digits(ticks[k], 12)]));
            model.axis_label = label(axis.name);
        }
    };

    const label = (name) => {
        const { meaning } = FACTS.rules[ravine.focused().rule].parameters[name] || { meaning: "" };
        const said = ravine.wordFor("axis", name, meaning.length < 50 ? meaning : meaning.split(",")[0]);
        return said ? `${name}: ${said}` : name;
    };

    // The settings that are no axes of the map.
    const fixed = ({ settings }, { x, y }) =>
        Object.fromEntries(Object.entries(settings).filter(([name]) => name !== x.name && name !== y.name));

    // Walk it again if anything but the settings along its axes has changed.
    const again = (plot, walk) => {
        const run = ravine.focused(), { start, steps } = ravine.state, others = fixed(run, plot.known);
        const key = JSON.stringify([run.rule, others, start, steps]);
        if (key === plot.key) return;
        plot.key = key;
        plot.fitting = Object.entries(plot.known.fixed).every(([name, value]) => others[name] === value);
        plot.lines = plot.fitting ? plot.known.lines : [];
        theory(plot);
        if (!plot.fitting) plot.others();
        const values = (axis) => ({ name: axis.name, values: Float64Array.from(axis.values) });
        walk({
            rule: run.rule, settings: run.settings, x: values(plot.known.x), y: values(plot.known.y),
            start: Float64Array.from(start), steps, target: FACTS.target, quadratic: FACTS.surface.quadratic,
        });
    };

    // The theory's lines and its optimum, which is known for the settings that Python took alone.
    const theory = (plot) => {
        const { x, y, optimum } = plot.known, made = { xs: [], ys: [], dash: [], width: [] };
        const add = (xs, ys, { dash, width }) => {
            made.xs.push(xs.map((value) => there(x, value)));
            made.ys.push(ys.map((value) => there(y, value)));
            made.dash.push(dash);
            made.width.push(width);
        };
        const best = plot.fitting && optimum ? optimum : { x: null, y: null };
        for (const { kind, parts } of plot.lines) for (const [xs, ys] of parts) add(xs, ys, STROKES[kind]);
        const whole = best.x !== null && best.y !== null;
        if (!whole && best.x !== null) add([best.x, best.x], [y.low, y.high], { dash: [8, 3, 2, 3], width: 1.6 });
        plot.set("lines", made);
        plot.set("optimum", whole ? { x: [there(x, best.x)], y: [there(y, best.y)] } : { x: [], y: [] });
    };

    const paint = (plot, walker) => {
        const { x, y } = plot.known || {};
        if (!x || walker.outcome.length !== x.size * y.size) return;
        plot.walker = ravine.map.walker = walker;
        const shades = draw.shades(walker, FACTS.target);
        const { image, counts } = draw.cells(walker, x.size, shades, plot.palette);
        plot.set("ground", draw.image(plot, image, x.size, y.size, [span(x), span(y)]));
        bar(plot, shades);
        says(plot, shades, counts);
    };

    const bar = (plot, { low, high, none }) => {
        const colours = plot.find("colours"), model = plot.find("bar"), ticks = draw.roundNumbers(low, high);
        if (model.visible === none) model.visible = !none;
        if (none || (colours.low === low && colours.high === high)) return;
        colours.setv({ low, high });
        model.ticker.ticks = ticks;
        model.major_label_overrides = new Map(ticks.map((tick) => [tick, ravine.digits(tick, 6)]));
    };

    const says = (plot, { none, floor }, counts) => {
        const looks = draw.looks(), classes = draw.classes(), total = counts.reduce((sum, n) => sum + n, 0) - counts[4];
        const meaning = FACTS.target === null
            ? word("picture.value_after", { steps: ravine.state.steps, floor: ravine.number(floor) })
            : word("picture.steps_until", { target: ravine.number(FACTS.target) });
        const outcomes = ["not_yet", "reached", "diverged", "undefined"];
        plot.legend([
            ...(none ? [] : [{ sign: "scale", colour: "", text: meaning }]),
            ...[0, 2, 3].filter((k) => counts[k] > 0 && (k > 0 || FACTS.target !== null || none)).map((k) => ({
                sign: "patch", colour: classes[k],
                text: `${word(`picture.${outcomes[k]}`)} ${percent(counts[k] / total)}`,
            })),
            ...plot.lines.map(({ kind }) => ({
                sign: kind, colour: looks.ink, text: lineText(plot, kind),
            })),
            ...(plot.fitting && plot.known.optimum ? [best(plot.known.optimum, plot.known.near)] : []),
        ]);
    };

    // A rule with one of the two settings is best along a whole line.
    const best = ({ x, y }, near) => {
        const whole = x !== null && y !== null;
        const look = whole ? { sign: "star", colour: OPTIMUM } : { sign: "best", colour: draw.looks().ink };
        return { ...look, text: near ? word("picture.optimum_near", { point: pointText(near) }) : word("picture.optimum") };
    };

    const pointText = (point) => point.map((c) => ravine.digits(c, 3)).join(", ");

    const lineText = ({ known: { h, near } }, kind) => {
        if (kind === "boundary" && near) {
            return word("picture.boundary_near", { point: pointText(near) });
        }
        const upward = h.filter((c) => c > 0), curvature = kind === "slow" ? Math.min(...upward) : Math.max(...upward);
        return word(`picture.${kind}`, { h: ravine.digits(curvature, 4) });
    };

    const percent = (share) => {
        const digits = share > 0.99 && share < 1 ? 3 : share < 0.01 ? 1 : 0;
        return `${digits === 0 ? (100 * share).toFixed(0) : Number((100 * share).toPrecision(digits))}%`;
    };

    // Where the focused run stands; one whose setting changes with the step stands nowhere.
    const settle = (plot, handle) => {
        if (plot.known === null) return;
        const { settings } = ravine.focused(), { x, y } = plot.known;
        const changing = [x, y].filter((axis) => Array.isArray(settings[axis.name])).map((axis) => axis.name);
        plot.settled = changing.length === 0;
        if (!plot.settled) handle.place(null);
        else handle.place(...[x, y].map((axis) => at(axis, settings[axis.name])));
        handle.element.style.setProperty("--run", ravine.colour(ravine.state.focus));
        plot.remark(changing.length === 0 ? "" : word("picture.changing", { names: changing.join(", ") }));
    };

    // A setting on its axis; one that the rule does not have stands in the middle.
    const at = (axis, value) => {
        const [low, high] = span(axis);
        if (value === undefined) return (low + high) / 2;
        return Math.min(Math.max(there(axis, value), low - (high - low)), high + (high - low));
    };

    const moved = (plot, u, v) => {
        const { x, y } = plot.known, run = ravine.focused(), settings = {};
        for (const [axis, place] of [[x, u], [y, v]]) {
            if (typeof run.settings[axis.name] !== "number" || !Number.isFinite(place)) continue;
            const value = scaleOf(axis).tidy(scaleOf(axis).back(place));
            settings[axis.name] = Math.min(Math.max(value, axis.low), axis.high);
        }
        if (!ravine.state.together) ravine.setAll(settings);
        else for (const [name, value] of Object.entries(settings)) ravine.set(name, value);
    };

    // Where the map is pressed the settings go, and follow the pointer from there on.
    const pad = (plot, { element }) => {
        const made = ravine.make("div", { class: "plot-pad" });
        plot.over.prepend(made);
        plot.redrawn.push(() => {
            const { left, top, width, height } = draw.frame(plot);
            const place = { left, top, width, height };
            for (const [side, pixels] of Object.entries(place)) made.style[side] = `${pixels}px`;
        });
        const go = (event) => moved(plot, ...draw.value(plot, ...draw.pointer(plot, event)));
        made.addEventListener("pointerdown", (event) => {
            if (event.button !== 0 || !plot.settled || event.pointerType === "touch") return;
            event.preventDefault();
            element.focus({ preventScroll: true });
            made.setPointerCapture(event.pointerId);
            go(event);
        });
        // A finger scrolls the page: it sets them by a tap, or drags the handle.
        made.addEventListener("click", (event) => event.pointerType === "touch" && plot.settled && go(event));
        made.addEventListener("pointermove", (event) => {
            if (event.pointerType !== "touch" && made.hasPointerCapture(event.pointerId)) go(event);
        });
    };
}
