// Round numbers for axes, and limits of logarithmic axes that do not follow every move.
{
    const DEEPEST = 1e-32; // of the highest value: what is lower is rounding and is left out
    const USED = { moving: 0.6, resting: 0.85 }; // of a logarithmic axis must be used, or it is chosen again

    const LABEL = 26; // pixels between two labels

    const STEPS = [1, 2, 2.5, 5, 10];

    // Round numbers between two, evenly spread: draw/mapdata.py, even_numbers.
    draw.evenNumbers = (low, high, most = 6) => {
        const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
        const step = STEPS.find((s) => s * power >= rough * (1 - 1e-9)) * power, margin = 1e-9 * (high - low);
        const made = [];
        for (let k = Math.ceil((low - margin) / step); k * step <= high + margin; k += 1) {
            made.push(Number((k * step).toPrecision(12)));
        }
        return made;
    };

    // Round numbers for a logarithmic scale, few enough to be read: draw/mapdata.py, round_numbers.
    draw.roundNumbers = (low, high) => {
        const decades = Math.log10(high / low);
        if (!(decades >= 0.7)) return draw.evenNumbers(low, high);
        const every = Math.max(1, Math.ceil(decades / 6)), made = [];
        const first = Math.floor(Math.floor(Math.log10(low)) / every) * every;
        for (let power = first; power <= Math.log10(high) + every; power += every) {
            for (const digit of decades < 2.5 ? [1, 2, 5] : [1]) made.push(Number(`${digit}e${power}`));
        }
        return made.filter((x) => x >= low * (1 - 1e-9) && x <= high * (1 + 1e-9));
    };

    // The settings at which an axis of a map is labelled: draw/maps.py, ticks_of.
    draw.ticks = ({ low, high, scale }) => {
        if (scale === "linear") return draw.evenNumbers(low, high);
        if (scale === "log") return draw.roundNumbers(low, high);
        return draw.roundNumbers(1 - high, 1 - low).map((gap) => Number((1 - gap).toPrecision(12))).reverse();
    };

    // The least and the largest of the numbers above 0, and the largest at the start, over several arrays.
    draw.extent = (all) => {
        let low = Infinity, high = 0, first = 0;
        for (const values of all) {
            if (values[0] > first) first = values[0];
            for (const value of values) {
                if (!(value > 0 && value < Infinity)) continue;
                if (value < low) low = value;
                if (value > high) high = value;
            }
        }
        return { low, high, first };
    };

    // Limits of a logarithmic axis that shows these numbers (draw/figures.py, loss_axes). The present ones stay as long
    // as they hold the numbers and are not much too wide: an axis that jumps is hard to read, and slow to draw.
    draw.limits = (range, { low, high, first }, resting) => {
        const top = Math.min(high, first > 0 ? 1e4 * first : high);
        if (!(top > 0)) return [range.start, range.end];
        const tight = [Math.max(Math.min(low, top), top * DEEPEST), top].map(Math.log10);
        const now = [range.start, range.end].map(Math.log10), span = tight[1] - tight[0];
        const used = resting ? USED.resting : USED.moving;
        const fits = tight[0] >= now[0] && tight[1] <= now[1];
        if (fits && span >= used * (now[1] - now[0]) - 1) return [range.start, range.end];
        const room = Math.max(0.06 * span, 0.3), whole = span > 6 ? 2 : span > 2 ? 1 : 0;
        const down = (x) => (whole ? Math.floor((x - room / 2) / whole) * whole : x - room);
        const up = (x) => (whole ? Math.ceil((x + room / 2) / whole) * whole : x + room);
        return [10 ** down(tight[0]), 10 ** up(tight[1])];
    };

    // Set the limits of a logarithmic axis, with as many labels as there is room for.
    draw.powers = (plot, limits) => {
        const room = Math.max(2, Math.floor(draw.frame(plot).height / LABEL));
        const decades = Math.log10(limits[1] / limits[0]);
        const every = Math.max(1, Math.ceil(decades / room)), made = [];
        for (let k = Math.ceil(Math.log10(limits[0]) - 1e-9); k <= Math.log10(limits[1]) + 1e-9; k += 1) {
            if (k % every === 0) made.push(Number(`1e${k}`));
        }
        const ticks = made.length > 1 ? made : draw.evenNumbers(...limits, room), { ticker } = plot.figure.left[0];
        if (ticks.join() !== ticker.ticks.join()) ticker.ticks = ticks;
        draw.range(plot.y, limits);
    };

    // A line over steps on a logarithmic axis, cut at its limits; what is not above 0 is left out.
    draw.logLine = (values, [low, high]) => {
        const xs = new Float64Array(values.length).map((_, k) => k);
        const out = values.some((value) => !(value >= low && value <= high));
        if (!out) return [xs, values];
        const view = [[-Infinity, Infinity], [Math.log10(low), Math.log10(high)]];
        const logs = values.map((value) => (value > 0 ? Math.log10(value) : NaN));
        const [x, y] = draw.clipped(xs, logs, xs.length, view);
        return [x, y.map((power) => 10 ** power)];
    };
}
