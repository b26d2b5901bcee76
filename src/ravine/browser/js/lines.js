// The theory's lines on a map: those that Python computed; for other fixed settings the boundary alone, found here.
{
    const EVERY = 2; // cells between two points of a line

    const number = (value) => typeof value === "number";

    // For every momentum the learning rate below which all directions are stable.
    const boundary = ({ rule, settings }, { x, y, h }) => {
        const upward = h.filter((c) => c > 0), ends = [Math.min(...upward), Math.max(...upward)], line = [[], []];
        for (let k = 0; k < y.values.length; k += EVERY) {
            const limits = ends.map((c) => engine.limitLr(rule, { ...settings, mu: y.values[k] }, c)).filter(number);
            const lr = Math.min(...limits);
            if (!(lr >= x.low && lr <= x.high)) continue;
            line[0].push(lr);
            line[1].push(y.values[k]);
        }
        return line;
    };

    // The lines of a map for the settings of a run, each with its kind and its parts, [xs, ys].
    draw.theory = ({ rule, settings }, known) => {
        const free = ["lr", "mu"], fixed = Object.entries(settings).filter(([name]) => !free.includes(name));
        if (!known.h.some((c) => c > 0) || known.x.name !== "lr" || known.y.name !== "mu") return [];
        if (!fixed.every(([, value]) => number(value))) return [];
        const line = boundary({ rule, settings: { ...Object.fromEntries(fixed), lr: 0, mu: 0 } }, known);
        return line[0].length > 1 ? [{ kind: "boundary", parts: [line] }] : [];
    };
}
