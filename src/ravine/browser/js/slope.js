// The curve of one coordinate, with the paths and the balls on it; the start is dragged along it.
{
    const POINTS = 600; // of the curve in view
    const ROOM = [0.1, 0.2]; // below and above the curve, of its height
    const RARE = 0.03, FAR = 3; // share of the curve that may be cut where it is so many times farther than the rest
    const APART = 1; // pixels between the paths of two runs, which would hide each other
    const MOST = 600; // points of a path that follows the curve

    const height = (x) => engine.surface.height(Float64Array.of(x));

    draw.slope = (plot) => {
        plot.look = () => draw.view(plot);
        plot.column = (race, i) => [draw.columns(race)[0], race.values.map((value) => value + i * lift(plot))];
        plot.route = (xs, ys, last, edge, i) => along(xs, last, edge, (x) => height(x) + i * lift(plot));
        const scene = draw.scene(plot);
        const moved = () => {
            curve(plot);
            scene.paths();
        };
        draw.views(plot, { home, moved });
        const start = draw.handle(plot, {
            name: ravine.word("picture.start"), kind: "start", moved: (x) => ravine.change({ start: [x] }),
            says: () => `${FACTS.surface.variables[0]} = ${ravine.digits(ravine.state.start[0], 4)}`,
        });
        const place = () => start.place(ravine.state.start[0], height(ravine.state.start[0]));
        ravine.listen(["start"], place);
        draw.hover(plot);
        const dress = () => {
            const { ink, faint, rim } = draw.looks();
            plot.find("minima").glyph.setv({ line_color: ink });
            plot.find("ground").glyph.setv({ line_color: faint });
            for (const name of ["rims", "arrow rims", "balls"]) plot.find(name).glyph.setv({ line_color: rim });
            moved();
        };
        const lows = FACTS.minima.map((point) => point[0]);
        plot.set("minima", { x: lows, y: lows.map(height) });
        dress();
        place();
        ravine.listen(["theme"], dress);
    };

    const lift = ({ y, view }) => (APART * (y.end - y.start)) / view.frame.bbox.height;

    const home = () => {
        const [[low, high]] = FACTS.box, at = ravine.state.start[0], room = 0.08 * (high - low);
        return [[at < low ? at - room : low, at > high ? at + room : high]];
    };

    // From where to where most of the curve lies: a pole would leave nothing else to be seen.
    const bulk = (heights) => {
        const sorted = Float64Array.from(heights).sort();
        const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
        const start = height(ravine.state.start[0]), span = at(1 - RARE) - at(RARE);
        const low = at(0) < at(RARE) - FAR * span ? at(RARE) - span / 2 : at(0);
        const high = at(1) > at(1 - RARE) + FAR * span ? at(1 - RARE) + span / 2 : at(1);
        return Number.isFinite(start) ? [Math.min(low, start), Math.max(high, start)] : [low, high];
    };

    // The curve over what is in view, and as much of the vertical axis as it needs.
    const curve = (plot) => {
        const { start, end } = plot.x;
        const xs = Array.from({ length: POINTS }, (_, k) => start + ((end - start) * k) / (POINTS - 1));
        const ys = xs.map(height);
        const finite = ys.filter(Number.isFinite);
        plot.set("ground", { x: xs, y: ys });
        if (finite.length === 0) return;
        const [low, high] = bulk(finite);
        const span = high - low || Math.max(Math.abs(high) * 1e-3, 1e-9);
        draw.range(plot.y, [low - ROOM[0] * span, high + ROOM[1] * span]);
    };

    // A path with points between its steps, so that the line follows the curve.
    const along = (xs, last, edge, lifted) => {
        const stops = draw.upTo(xs, last, edge && edge[0]);
        const parts = Math.max(1, Math.min(12, Math.floor(MOST / stops.length)));
        const made = new Float64Array((stops.length - 1) * parts + 1);
        for (let k = 0; k < made.length; k += 1) {
            const from = Math.min(Math.floor(k / parts), Math.max(stops.length - 2, 0)), share = k / parts - from;
            made[k] = share === 0 ? stops[from] : stops[from] + share * (stops[from + 1] - stops[from]);
        }
        return [made, made.map(lifted)];
    };
}
