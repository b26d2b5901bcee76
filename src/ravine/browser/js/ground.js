// The ground of two coordinates as an image: bands between contour lines, computed for whatever is in view.
{
    const BANDS = 14; // between contour lines, as in draw/data.py
    const SAMPLE = 61; // heights a side from which the levels are chosen
    const COARSE = 6, FINE = 2, FINEST = 1; // pixels between two heights
    const BUDGET = 60; // milliseconds that the heights of a picture at rest may take
    const COLOURS = { // of draw/style.py, GROUND and LINES, and their counterparts on a dark page
        light: { ground: ["#a9c3d9", "#d5e0e6", "#efece1", "#faf6ea"], line: "#7c8894", none: "#b9bcc1", share: 0.7 },
        dark: { ground: ["#41617f", "#304558", "#26313c", "#1d242b"], line: "#8fa3b5", none: "#4a4d52", share: 0.55 },
    };

    const rgb = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));

    // The colours of the bands, from the deepest to the highest, [r, g, b] each.
    const bands = (count, { ground }) => {
        const stops = ground.map(rgb);
        return Array.from({ length: count }, (_, i) => {
            const at = (i / Math.max(count - 1, 1)) * (stops.length - 1);
            const k = Math.min(Math.floor(at), stops.length - 2);
            return stops[k].map((c, j) => c + (stops[k + 1][j] - c) * (at - k));
        });
    };

    const heights = ([[x0, x1], [y0, y1]], columns, rows) => {
        const made = new Float64Array(columns * rows), at = new Float64Array(2);
        for (let r = 0; r < rows; r += 1) {
            at[1] = y0 + ((y1 - y0) * r) / (rows - 1);
            for (let c = 0; c < columns; c += 1) {
                at[0] = x0 + ((x1 - x0) * c) / (columns - 1);
                const height = engine.surface.height(at);
                made[r * columns + c] = Number.isFinite(height) ? Math.min(Math.max(height, -1e200), 1e200) : NaN;
            }
        }
        return made;
    };

    const quantile = (sorted, share) => {
        const at = share * (sorted.length - 1), k = Math.min(Math.floor(at), sorted.length - 2);
        return sorted.length < 2 ? sorted[0] : sorted[k] + (sorted[k + 1] - sorted[k]) * (at - k);
    };

    // Heights for contour lines, chosen as draw/data.py chooses them: half quantiles, half equal steps of the root.
    draw.levels = (view) => {
        const sorted = heights(view, SAMPLE, SAMPLE).filter((h) => !Number.isNaN(h)).sort();
        const low = sorted.length ? sorted[0] : 0, high = sorted.length ? sorted[sorted.length - 1] : 0;
        const least = 1e-9 * Math.max(Math.abs(low), Math.abs(high));
        const shares = Array.from({ length: BANDS + 1 }, (_, i) => i / BANDS);
        if (!(high - low > BANDS * least)) return shares.map((s) => low + Math.max(1, BANDS * BANDS * least) * s);
        const far = quantile(sorted, 0.995);
        const mixed = shares.map((s) => (quantile(sorted, s) + low + (far - low) * s * s) / 2);
        const found = mixed.filter((level, i) => i === 0 || level > mixed[i - 1]);
        const apart = found.length > 2 && found.every((level, i) => i === 0 || level - found[i - 1] > least);
        return apart ? found : shares.map((s) => low + (high - low) * s);
    };

    // Paint a view into an image of so many pixels, rows from below, as Bokeh takes them; `step` pixels lie between two
    // heights, and `dense` pixels of the image in one of the page. Lines are blended by their distance in pixels, so
    // that they are as thin everywhere.
    draw.ground = (view, width, height, step, levels, dense = 1) => {
        const columns = Math.ceil(width / step) + 1, rows = Math.ceil(height / step) + 1;
        const [[x0, x1], [y0, y1]] = view; // the nodes may end beyond the view
        const grown = [
            [x0, x0 + ((x1 - x0) * (columns - 1) * step) / width], [y0, y0 + ((y1 - y0) * (rows - 1) * step) / height],
        ];
        const nodes = heights(grown, columns, rows);
        const look = ravine.dark() ? COLOURS.dark : COLOURS.light;
        return shade(nodes, columns, { width, height, step, levels, look, dense });
    };

    const shade = (nodes, columns, { width, height, step, levels, look, dense }) => {
        const image = new Uint32Array(width * height), bytes = new Uint8ClampedArray(image.buffer);
        const palette = bands(levels.length - 1, look).flat(), line = rgb(look.line), none = rgb(look.none);
        const last = levels.length - 2;
        let band = 0;
        for (let r = 0, at = 0; r < height; r += 1) {
            const v = r / step, j = Math.floor(v), fv = v - j;
            for (let c = 0; c < width; c += 1, at += 4) {
                const u = c / step, i = Math.floor(u), fu = u - i, k = j * columns + i;
                const a = nodes[k], b = nodes[k + 1], d = nodes[k + columns], e = nodes[k + columns + 1];
                const low = a + (b - a) * fu, high = d + (e - d) * fu, h = low + (high - low) * fv;
                bytes[at + 3] = 255;
                if (Number.isNaN(h)) {
                    bytes[at] = none[0];
                    bytes[at + 1] = none[1];
                    bytes[at + 2] = none[2];
                    continue;
                }
                while (band < last && h >= levels[band + 1]) band += 1;
                while (band > 0 && h < levels[band]) band -= 1;
                const across = ((b - a) * (1 - fv) + (e - d) * fv) / step, along = (high - low) / step;
                const slope = Math.sqrt(across * across + along * along);
                const near = Math.min(Math.abs(h - levels[band]), Math.abs(levels[band + 1] - h));
                const away = slope > 0 ? near / slope : Infinity;
                const share = look.share * Math.min(Math.max(0.6 + 0.5 * dense - away, 0), 1);
                for (let p = 0; p < 3; p += 1) {
                    const ground = palette[3 * band + p];
                    bytes[at + p] = ground + (line[p] - ground) * share;
                }
            }
        }
        return image;
    };

    let cost = 1e-4; // milliseconds a height takes here, measured

    // Keep a source filled with the ground of a plot's view: coarse while it changes, fine at rest.
    draw.grounds = (plot) => {
        const paint = (fine) => {
            const frame = draw.frame(plot), dense = fine ? globalThis.devicePixelRatio || 1 : 1;
            const [width, height] = [frame.width, frame.height].map((side) => Math.max(Math.round(side * dense), 2));
            const view = [[plot.x.start, plot.x.end], [plot.y.start, plot.y.end]];
            const finest = frame.width * frame.height * cost < BUDGET ? FINEST : FINE;
            const began = performance.now(), levels = draw.levels(view);
            cost = (performance.now() - began) / (SAMPLE * SAMPLE);
            const image = draw.ground(view, width, height, fine ? finest * dense : COARSE, levels, dense);
            plot.set("ground", draw.image(plot, image, width, height, view));
        };
        const rest = draw.later(() => paint(true));
        return {
            now: () => paint(true),
            moving: () => {
                paint(false);
                rest();
            },
        };
    };

    // The columns of a source that shows one image; its array is of the kind that Bokeh made of the first.
    draw.image = (plot, pixels, width, height, [[x0, x1], [y0, y1]]) => {
        const Kind = plot.source("ground").data.image[0].constructor;
        return { image: [new Kind(pixels.buffer, [height, width])], x: [x0], y: [y0], dw: [x1 - x0], dh: [y1 - y0] };
    };
}
