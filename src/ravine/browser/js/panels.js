// The eigen-directions of three coordinates and more: the error along each against step, one line a run.
{
    const FAR = 1e200; // no renderer reaches farther
    const RESTS = 600; // milliseconds after which the axes close up to the values
    const SHAPE = 2, LEAST_WIDTH = 150, LEAST_HEIGHT = 110; // of a picture, the last two in pixels
    const ROOMY = 220; // pixels of width that leave room for the label of the vertical axis

    // Which directions are shown: all, or as many as there are pictures, spread over the spectrum.
    const chosen = (n, count) =>
        Array.from({ length: count }, (_, k) => Math.round((k * (n - 1)) / Math.max(count - 1, 1)));

    // The size of the error along a direction at every step.
    const errors = (race, vector, point) => {
        const n = point.length, made = new Float64Array(race.steps + 1);
        for (let k = 0; k < made.length; k += 1) {
            let sum = 0;
            for (let i = 0; i < n; i += 1) sum += vector[i] * (race.positions[k * n + i] - point[i]);
            made[k] = Math.abs(sum) < FAR ? Math.abs(sum) : NaN;
        }
        return made;
    };

    // So many columns that the pictures are about half as high as they are wide, and few places stay empty.
    const arrange = (grid, panels) => {
        const { width, height } = grid.getBoundingClientRect(), count = panels.length;
        if (!(width > 0)) return;
        const cost = (columns) => {
            const rows = Math.ceil(count / columns), wide = width / columns;
            const high = Math.max(height / rows, LEAST_HEIGHT);
            const hidden = Math.max((rows * LEAST_HEIGHT) / height - 1, 0), empty = (rows * columns - count) / count;
            return Math.abs(Math.log(wide / high / SHAPE)) + empty + hidden + (wide < LEAST_WIDTH ? 9 : 0);
        };
        const choices = Array.from({ length: Math.min(count, 6) }, (_, k) => k + 1);
        const columns = choices.reduce((best, k) => (cost(k) < cost(best) ? k : best));
        grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
        grid.style.gridAutoRows = `minmax(${LEAST_HEIGHT}px, 1fr)`;
        const error = width / columns < ROOMY ? null : ravine.word("picture.error");
        for (const [k, { plot }] of panels.entries()) {
            const [side] = plot.figure.left;
            if (side.axis_label !== error) side.axis_label = error;
            const label = k + columns >= count ? ravine.word("picture.steps") : null, axis = plot.figure.below[0];
            if (axis.axis_label !== label) axis.axis_label = label;
        }
    };

    ravine.panels = async (element) => {
        const place = ravine.place();
        if (place === null) {
            draw.remark(element)(ravine.word("picture.no_directions"));
            return;
        }
        const grid = ravine.make("div", { class: "plot-grid" });
        const count = FACTS.items.panels.length, n = FACTS.surface.dim;
        element.append(grid);
        const said = n > count ? "picture.some_directions" : "picture.all_directions";
        draw.remark(element)(ravine.word(said, { count, n }));
        const ranks = chosen(n, count), panels = [];
        for (const [k, item] of FACTS.items.panels.entries()) {
            const plot = await draw.embed(grid, item, "panel");
            panels.push({ plot, rank: ranks[k] });
        }
        const show = (resting) => {
            const { vectors, point, h } = ravine.place();
            const { directions } = engine.predict(ravine.focused(), ravine.place(), ravine.state.steps);
            for (const { plot, rank } of panels) {
                const some = fill(plot, vectors[rank], point, resting);
                const regime = ravine.wordFor("regime", directions[rank].regime);
                title(plot, `h = ${ravine.digits(h[rank], 4)}: ${some ? regime : ravine.word("picture.no_error")}`);
            }
            clock();
        };
        const clock = () => {
            const time = ravine.play.now();
            for (const { plot } of panels) {
                if (time === null && plot.source("clock").data.xs.length === 0) continue;
                const line = { xs: [[time, time]], ys: [[plot.y.start, plot.y.end]] };
                plot.set("clock", time === null ? { xs: [], ys: [] } : line);
            }
        };
        const dress = () => {
            for (const { plot } of panels) plot.find("clock").glyph.line_color = draw.looks().ink;
            show(true);
        };
        arrange(grid, panels);
        new ResizeObserver(() => arrange(grid, panels)).observe(grid);
        dress();
        const rest = draw.later(() => show(true), RESTS);
        ravine.listen(["races", "runs", "focus", "steps", "place"], () => {
            show(false);
            rest();
        });
        ravine.listen(["time"], clock);
        ravine.play.onFrame(clock);
        ravine.listen(["theme"], dress);
    };

    // A title lies on the axes, which are drawn again with it.
    const title = ({ figure }, text) => {
        if (figure.title.text !== text) figure.title.text = text;
    };

    // Returns whether there is any error to show.
    const fill = (plot, vector, point, resting) => {
        const made = { xs: [], ys: [], colour: [] };
        const line = (race, i) => (race === null ? [] : [{ i, size: errors(race, vector, point) }]);
        const lines = ravine.races.flatMap(line);
        const extent = draw.extent(lines.map(({ size }) => size)), limits = draw.limits(plot.y, extent, resting);
        draw.range(plot.x, [0, ravine.state.steps]);
        draw.powers(plot, limits);
        for (const { i, size } of lines) {
            const [xs, ys] = draw.logLine(size, limits);
            made.xs.push(xs);
            made.ys.push(ys);
            made.colour.push(ravine.colour(i));
        }
        plot.set("values", made);
        return extent.high > 0;
    };
}
