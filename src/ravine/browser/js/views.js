// Views that are zoomed and panned without end: shown as the store has them, and told to the store when they rest, so
// that a link restores them.
{
    const RESTS = 300, RESIZED = 50; // milliseconds

    const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

    // `home()` is what is in view while nobody has chosen; `moved()` is called before the paint that shows another
    // view.
    draw.views = (plot, { home, moved }) => {
        let own = false, chosen = false, size = ""; // chosen: by somebody, and not told to the store yet
        const free = () => ravine.state.view === null && !chosen;
        const show = () => {
            const [x, y] = ravine.state.view || home();
            own = true;
            draw.range(plot.x, x);
            if (y) draw.range(plot.y, y);
            own = false;
        };
        const tell = draw.later(() => {
            if (chosen) ravine.change({ view: draw.view(plot) });
            chosen = false;
        }, RESTS);
        const now = draw.soon(moved);
        for (const range of [plot.x, plot.y]) {
            range.change.connect(() => {
                now();
                if (own) return;
                chosen = true;
                tell();
            });
        }
        plot.figure.on_event("reset", () => {
            chosen = false;
            ravine.change({ view: null });
            show();
        });
        const resized = draw.later(() => {
            if (free()) show();
            moved();
        }, RESIZED);
        plot.redrawn.push(() => {
            const { width, height } = draw.frame(plot), found = `${width},${height}`;
            if (found !== size) resized();
            size = found;
        });
        ravine.listen(["view"], () => same(ravine.state.view, draw.view(plot)) || show());
        ravine.listen(["start"], () => {
            const [x, y] = draw.view(plot), [sx, sy = y[0]] = ravine.state.start;
            if (free() && !draw.dragging && !draw.inside([x, y], sx, sy)) show();
        });
        show();
    };
}
