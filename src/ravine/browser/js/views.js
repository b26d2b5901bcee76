// Views that are zoomed and panned without end: shown as the store has them, and told to the store when they rest, so
// that a link restores them.
{
    const RESTS = 300, RESIZED = 50; // milliseconds
    const FINEST = 1e-10, FARTHEST = 1e12; // the least span, as a part of where it lies or of what is first in view; an edge

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
        // Beyond these floats cannot tell places apart, and Bokeh draws nothing any more: the last good view comes back.
        const good = (now) => now.every(([low, high], k) => {
            const span = high - low, [from, to] = home()[k] || [low, high];
            const far = Math.max(Math.abs(low), Math.abs(high));
            return span > FINEST * Math.max(to - from, far) && far <= FARTHEST;
        });
        let last = null;
        const held = () => {
            const now = draw.view(plot);
            if (good(now)) {
                last = now;
                return;
            }
            own = true;
            const [x, y] = last || home();
            draw.range(plot.x, x);
            if (y) draw.range(plot.y, y);
            own = false;
        };
        const tell = draw.later(() => {
            if (chosen) ravine.change({ view: draw.view(plot) });
            chosen = false;
        }, RESTS);
        const now = draw.soon(moved), hold = draw.soon(held);
        for (const range of [plot.x, plot.y]) {
            range.change.connect(() => {
                now();
                if (own) return;
                hold();
                chosen = true;
                tell();
            });
        }
        // What a finger moved before it turned out to scroll the page is moved back, after Bokeh has heard of it.
        let before = null;
        const back = (found) => {
            own = true;
            found.view.forEach(([start, end], i) => [plot.x, plot.y][i].setv({ start, end }));
            own = false;
            chosen = found.chosen;
        };
        const byFinger = ({ pointerType, isPrimary }) => pointerType === "touch" && isPrimary;
        plot.box.addEventListener("pointerdown", (event) => {
            if (byFinger(event)) before = { view: draw.view(plot), chosen };
        }, true);
        plot.box.addEventListener("pointercancel", (event) => {
            if (byFinger(event) && before !== null) setTimeout(back, 0, before);
        }, true);
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
