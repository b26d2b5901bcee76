// Paths as lines within a view, and the balls with their arrows. Bokeh does not clip what it repaints often, so all
// that is drawn over the ground is cut at the frame here.
{
    const EDGE = 0.16; // of the frame's shorter side: the longest arrow, as in draw/film.py
    const HEAD = 7; // pixels
    const SAMPLE = 60; // steps of which the typical force is taken
    const SIGNS = ["circle", "square", "triangle", "diamond", "inverted_triangle", "plus", "star", "hex", "square_pin"];

    draw.sign = (i) => SIGNS[i % SIGNS.length];
    draw.view = (plot) => [[plot.x.start, plot.x.end], [plot.y.start, plot.y.end]];
    draw.inside = ([[x0, x1], [y0, y1]], x, y) => x >= x0 && x <= x1 && y >= y0 && y <= y1;
    draw.fled = (race) => race.stopped === "diverged" || race.stopped === "undefined";

    const columns = new WeakMap();

    // The coordinates of a race's steps, each as one array.
    draw.columns = (race) => {
        if (!columns.has(race)) {
            const n = FACTS.surface.dim, count = race.steps + 1;
            columns.set(race, Array.from({ length: n }, (_, j) => {
                const made = new Float64Array(count);
                for (let k = 0; k < count; k += 1) made[k] = race.positions[k * n + j];
                return made;
            }));
        }
        return columns.get(race);
    };

    // The part of a segment within a view, as shares of its length; null where it passes by (Liang and Barsky 1984).
    const within = ([[x0, x1], [y0, y1]], ax, ay, bx, by) => {
        let from = 0, to = 1;
        const dx = bx - ax, dy = by - ay;
        for (const [p, q] of [[-dx, ax - x0], [dx, x1 - ax], [-dy, ay - y0], [dy, y1 - ay]]) {
            if (p === 0) {
                if (!(q >= 0)) return null;
            } else if (p < 0) from = Math.max(from, q / p);
            else to = Math.min(to, q / p);
        }
        return from <= to ? [from, to] : null;
    };

    // The pieces of a path up to a point, with NaN between them.
    draw.clipped = (xs, ys, count, view) => {
        const outX = [], outY = [];
        let before = false;
        for (let k = 0; k < count; k += 1) {
            const now = draw.inside(view, xs[k], ys[k]);
            if (k > 0 && !(before && now)) {
                const dx = xs[k] - xs[k - 1], dy = ys[k] - ys[k - 1];
                const part = within(view, xs[k - 1], ys[k - 1], xs[k], ys[k]);
                if (part) {
                    if (!before) outX.push(NaN, xs[k - 1] + part[0] * dx);
                    if (!before) outY.push(NaN, ys[k - 1] + part[0] * dy);
                    if (!now) outX.push(xs[k - 1] + part[1] * dx);
                    if (!now) outY.push(ys[k - 1] + part[1] * dy);
                }
            }
            if (now) outX.push(xs[k]);
            if (now) outY.push(ys[k]);
            before = now;
        }
        return [outX, outY];
    };

    // How much of a race is drawn: all of it, or of one that flees what leads to the edge of the view for the last
    // time.
    draw.trail = (race, xs, ys, view) => {
        let last = race.steps;
        if (draw.fled(race)) while (last >= 0 && !draw.inside(view, xs[last], ys[last])) last -= 1;
        if (last < 0 || last === race.steps) return { last: race.steps, edge: null };
        const part = within(view, xs[last], ys[last], xs[last + 1], ys[last + 1]);
        if (!part) return { last, edge: null };
        const along = (from, to) => from + part[1] * (to - from);
        return { last, edge: [along(xs[last], xs[last + 1]), along(ys[last], ys[last + 1])] };
    };

    // The first steps of a trail, and a point after them, as new arrays.
    draw.upTo = (values, last, end) => {
        const made = new Float64Array(last + (end === null ? 1 : 2));
        made.set(values.subarray(0, last + 1));
        if (end !== null) made[last + 1] = end;
        return made;
    };

    // Where a ball is at a time that may lie between two steps, and the step it comes from.
    draw.ballAt = (xs, ys, { last, edge }, time) => {
        const k = Math.min(Math.floor(time), last), share = time - k;
        if (k === last && edge && time > last) return { k, x: edge[0], y: edge[1] };
        if (k === last || share === 0) return { k, x: xs[k], y: ys[k] };
        return { k, x: xs[k] + share * (xs[k + 1] - xs[k]), y: ys[k] + share * (ys[k + 1] - ys[k]) };
    };

    const typical = (lengths) => {
        const most = Math.max(...lengths, 0), kept = lengths.filter((l) => l > 0.01 * most).sort((a, b) => a - b);
        return kept.length ? kept[kept.length >> 1] : 1;
    };

    // Minus the gradient; on the curve of one coordinate both the move and the force are level.
    const level = FACTS.surface.dim === 1;
    const force = (x, y) => {
        const at = level ? Float64Array.of(x) : Float64Array.of(x, y), g = new Float64Array(at.length);
        engine.surface.slope(at, g);
        return [-g[0], level ? 0 : -g[1]];
    };

    const jump = (xs, ys, k, unit) => [(xs[k + 1] - xs[k]) * unit[0], level ? 0 : (ys[k + 1] - ys[k]) * unit[1]];

    // How long the arrows of all runs are, in pixels for a pixel's move and for a unit of force: the same at every
    // step.
    const lengths = (runs, frame, unit) => {
        const jumps = [], pushes = [];
        for (const { xs, ys, last } of runs) {
            const every = Math.max(1, Math.ceil(last / SAMPLE));
            for (let k = 0; k < last; k += every) {
                jumps.push(Math.hypot(...jump(xs, ys, k, unit)));
                const [fx, fy] = force(xs[k], ys[k]);
                pushes.push(Math.hypot(fx * unit[0], fy * unit[1]));
            }
        }
        const longest = EDGE * Math.min(frame.width, frame.height);
        return { longest, pace: longest / typical(jumps), push: longest / typical(pushes) };
    };

    const capped = (ux, uy, longest) => {
        const length = Math.hypot(ux, uy), share = length > longest ? longest / length : 1;
        return [ux * share, uy * share];
    };

    // An arrow as one line, tail, tip and head, in the values of the axes; u is in pixels, upwards.
    const arrow = (x, y, [ux, uy], unit) => {
        const length = Math.hypot(ux, uy);
        if (!(length > 2)) return null;
        const size = Math.min(HEAD, 0.6 * length) / length;
        const points = [[0, 0], [ux, uy], [-ux - 0.6 * uy, -uy + 0.6 * ux], [0, 0], [-ux + 0.6 * uy, -uy - 0.6 * ux]];
        const tip = points[1], at = [points[0], tip];
        for (const [hx, hy] of [points[2], points[3], points[4]]) at.push([tip[0] + size * hx, tip[1] + size * hy]);
        return [at.map(([px]) => x + px / unit[0]), at.map(([, py]) => y + py / unit[1])];
    };

    // The arrows of balls, velocity first; a run is {xs, ys, last, ball}.
    draw.arrows = (plot, runs) => {
        const made = { xs: [], ys: [], colour: [] }, frame = draw.frame(plot), [[x0, x1], [y0, y1]] = draw.view(plot);
        const unit = [frame.width / (x1 - x0), frame.height / (y1 - y0)], looks = draw.looks();
        const { longest, pace, push } = lengths(runs, frame, unit);
        for (const { xs, ys, last, ball } of runs) {
            const { k, x, y } = ball, [fx, fy] = force(x, y);
            const move = k < last ? jump(xs, ys, k, unit).map((c) => c * pace) : [0, 0];
            for (const [u, colour] of [
                [capped(...move, 1.5 * longest), looks.velocity],
                [capped(fx * unit[0] * push, fy * unit[1] * push, longest), looks.force],
            ]) {
                const line = arrow(x, y, u, unit);
                if (line === null || !draw.inside(draw.view(plot), x, y)) continue;
                const [lineX, lineY] = draw.clipped(line[0], line[1], line[0].length, draw.view(plot));
                made.xs.push(lineX);
                made.ys.push(lineY);
                made.colour.push(colour);
            }
        }
        return made;
    };
}
