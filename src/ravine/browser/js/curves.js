// The curves: value against step on a logarithmic axis, with the slope that theory predicts.
{
    const NEAR = 24; // pixels
    const FARTHEST = 100; // times the start's height
    const ALIKE = 10; // times: how far a height may be from the quadratic's
    const RESTS = 600; // milliseconds after which the axis closes up to the values
    const BENT = 60; // points of a prediction that levels off, which no straight line shows

    // The place that a run leads to; of a quadratic also for one that flees (draw/data.py, curves).
    const placeOf = (race) => {
        if (FACTS.places.length === 0) return null;
        if (draw.fled(race)) return FACTS.surface.quadratic ? FACTS.places[0] : null;
        const n = FACTS.surface.dim, end = race.positions.subarray(race.steps * n, (race.steps + 1) * n);
        const far = FACTS.places.map(({ point }) => Math.hypot(...point.map((c, i) => c - end[i])));
        return FACTS.places[far.indexOf(Math.min(...far))];
    };

    const rates = new WeakMap(); // by run and place, as a run never changes

    const rateOf = (run, place) => {
        if (Object.values(run.settings).some(Array.isArray)) return null;
        if (!rates.has(run)) rates.set(run, new Map());
        const known = rates.get(run);
        if (!known.has(place)) known.set(place, engine.predict(run, place, ravine.state.steps).rate);
        return known.get(place);
    };

    // What is subtracted from the values: the lowest that is known, or 0 where only rounding would be left. Where no
    // minimum is known, what a fleeing run falls to says nothing.
    const floorOf = (races) => {
        let lowest = FACTS.floor === null ? Infinity : FACTS.floor, largest = 0;
        for (const { values } of races) {
            const deepest = FACTS.floor === null ? -FARTHEST * Math.max(1, Math.abs(values[0])) : -Infinity;
            for (const value of values) {
                if (!(value >= deepest)) continue;
                if (value < lowest) lowest = value;
                if (Math.abs(value) > largest) largest = Math.abs(value);
            }
        }
        if (FACTS.floor === null && lowest > 0) return 0;
        return Math.abs(lowest) <= 1e-12 * largest || !Number.isFinite(lowest) ? 0 : lowest;
    };

    // Whether a run is where the surface is nearly the quadratic of a place: of a run that leads to a hollow which
    // nobody named, the nearest place says nothing.
    const likeness = (race, step, { point, h, vectors }, higher) => {
        const n = point.length, error = point.map((c, i) => race.positions[step * n + i] - c);
        const along = (vector) => vector.reduce((sum, c, i) => sum + c * error[i], 0);
        const quadratic = h.reduce((sum, c, k) => sum + (c * along(vectors[k]) ** 2) / 2, 0);
        return quadratic < ALIKE * higher && higher < ALIKE * quadratic;
    };

    // The height above the minimum that a run leads to shrinks by the square of the rate; from the highest step of the
    // last third on both ways, from a quarter of the run to its end.
    const predicted = (run, race, above, floor) => {
        const place = placeOf(race), count = above.length, third = Math.floor((count * 2) / 3);
        const rate = place && count > 6 ? rateOf(run, place) : null;
        if (!rate || !Number.isFinite(rate)) return null;
        let peak = third;
        for (let k = third; k < count; k += 1) if (above[k] > above[peak]) peak = k;
        const rest = Math.max(place.value - floor, 0), begin = Math.floor(count / 4), higher = above[peak] - rest;
        if (!(higher > 0) || !likeness(race, peak, place, higher)) return null;
        const points = rest === 0 ? 2 : BENT;
        const xs = Array.from({ length: points }, (_, k) => begin + ((count - 1 - begin) * k) / (points - 1));
        return [xs, xs.map((x) => rest + (above[peak] - rest) * rate ** (2 * (x - peak)))];
    };

    // A prediction may run far below what is shown: cut it in the logarithm.
    const cut = ([xs, ys], [low, high]) => {
        const view = [[-Infinity, Infinity], [Math.log10(low), Math.log10(high)]];
        const logs = ys.map((y) => Math.max(Math.log10(y), -400));
        const [x, y] = draw.clipped(xs, logs, xs.length, view);
        return [x, y.map((power) => 10 ** power)];
    };

    ravine.curves = async (element) => {
        const plot = await draw.embed(element, FACTS.items.curves, "curves"), { word } = ravine;
        const legend = draw.legend(element);
        plot.figure.below[0].axis_label = word("picture.steps");
        plot.lines = [];
        const show = (resting) => {
            const races = ravine.races.filter((race) => race !== null), floor = floorOf(races);
            plot.lines = ravine.races.flatMap((race, i) => (race === null ? [] : [{ race, i }]));
            for (const line of plot.lines) {
                const { values } = line.race;
                line.above = floor === 0 ? values : values.map((f) => f - floor);
            }
            const limits = draw.limits(plot.y, draw.extent(plot.lines.map(({ above }) => above)), resting);
            draw.range(plot.x, [0, ravine.state.steps]);
            draw.powers(plot, limits);
            plot.figure.left[0].axis_label = floor === 0 ? word("picture.value")
                : word("picture.value_above", { floor: ravine.digits(floor, 6) });
            fill(plot, limits, floor);
            const dashed = { sign: "dashed", colour: draw.looks().faint, text: word("picture.predicted") };
            legend(plot.source("predicted").data.xs.some((xs) => xs.length > 1) ? [dashed] : []);
            clock();
        };
        const clock = () => {
            const time = ravine.play.now();
            if (time === null && plot.source("clock").data.xs.length === 0) return;
            const line = { xs: [[time, time]], ys: [[plot.y.start, plot.y.end]] };
            plot.set("clock", time === null ? { xs: [], ys: [] } : line);
        };
        const dress = () => {
            plot.find("clock").glyph.line_color = draw.looks().ink;
            show(true);
        };
        dress();
        const rest = draw.later(() => show(true), RESTS);
        ravine.listen(["races", "runs", "steps"], () => {
            show(false);
            rest();
        });
        ravine.listen(["time"], clock);
        ravine.play.onFrame(clock);
        ravine.listen(["theme"], dress);
        hover(plot);
    };

    const fill = (plot, limits, floor) => {
        const values = { xs: [], ys: [], colour: [] }, slopes = { xs: [], ys: [], colour: [] };
        const add = (to, [xs, ys], i) => {
            to.xs.push(xs);
            to.ys.push(ys);
            to.colour.push(ravine.colour(i));
        };
        for (const { race, i, above } of plot.lines) {
            add(values, draw.logLine(above, limits), i);
            const line = predicted(ravine.state.runs[i], race, above, floor);
            if (line) add(slopes, cut(line, limits), i);
        }
        plot.set("values", values);
        plot.set("predicted", slopes);
    };

    const hover = (plot) => {
        const tip = draw.tip(plot);
        const show = (event) => {
            const [px, py] = draw.pointer(plot, event), step = Math.round(draw.value(plot, px, py)[0]);
            let best = null, least = NEAR;
            for (const { i, above } of plot.lines) {
                const at = draw.pixel(plot, step, above[step]), away = Math.abs(at[1] - py);
                if (step >= 0 && away < least) [least, best] = [away, { i, at, value: above[step] }];
            }
            if (best === null) return tip(null);
            return tip(best.at, [
                ravine.label(ravine.state.runs[best.i]), ravine.word("picture.at_step", { step }),
                `${plot.figure.left[0].axis_label}: ${ravine.digits(best.value, 4)}`,
            ]);
        };
        plot.box.addEventListener("pointermove", show);
        plot.box.addEventListener("pointerdown", show);
        plot.box.addEventListener("pointerleave", () => tip(null));
        ravine.listen(["races"], () => tip(null));
    };
}
