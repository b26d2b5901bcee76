// What lies over the ground of either picture, of one coordinate or two: paths, their ends, balls, and what a pointer
// finds there.
{
    const AT_ONCE = 120, MOST_DOTS = 1500; // steps that are drawn as dots while something moves, and at rest
    const NEAR = 24; // pixels between a pointer and the step that it means
    const FAINT = 0.35; // of a path that a ball has still to go

    // What is drawn over the ground of either picture; `plot.column(race)` are the paths in the values of the axes.
    draw.scene = (plot) => {
        plot.trails = [];
        const dots = () => dotted(plot, MOST_DOTS);
        const rest = draw.later(dots);
        const paths = () => {
            const view = plot.look(), time = ravine.play.now();
            plot.trails = ravine.races.flatMap((race, i) => {
                if (race === null) return [];
                const [xs, ys] = plot.column(race, i), trail = draw.trail(race, xs, ys, view);
                return [{ race, i, xs, ys, ...trail }];
            });
            plot.set("paths", lines(plot, view, time));
            plot.set("ends", ends(time === null ? plot.trails : [], view));
            balls(plot, time);
            says(plot, time);
            dotted(plot, AT_ONCE);
            rest();
        };
        ravine.listen(["races", "runs", "time"], paths);
        ravine.play.onFrame(paths);
        return { paths };
    };

    const lines = (plot, view, time) => {
        const made = { xs: [], ys: [], colour: [], alpha: [] };
        const add = ({ i, xs, ys, last, edge }, alpha) => {
            const path = plot.route ? plot.route(xs, ys, last, edge, i)
                : [draw.upTo(xs, last, edge && edge[0]), draw.upTo(ys, last, edge && edge[1])];
            const [x, y] = draw.clipped(...path, path[0].length, view);
            made.xs.push(x);
            made.ys.push(y);
            made.colour.push(ravine.colour(i));
            made.alpha.push(alpha);
        };
        for (const trail of plot.trails) {
            add(trail, time === null ? 1 : FAINT);
            if (time === null) continue;
            const { k, x, y } = draw.ballAt(trail.xs, trail.ys, trail, time);
            add({ ...trail, last: k, edge: [x, y] }, 1);
        }
        return made;
    };

    // The end of each path; of one that flees a cross where it leaves the view.
    const ends = (trails, view) => {
        const made = { x: [], y: [], colour: [], line: [], sign: [] }, { rim } = draw.looks();
        for (const { race, i, xs, ys, last, edge } of trails) {
            const [x, y] = edge || [xs[last], ys[last]];
            if (!edge && !draw.inside(view, x, y)) continue;
            made.x.push(x);
            made.y.push(y);
            made.colour.push(ravine.colour(i));
            made.line.push(draw.fled(race) ? ravine.colour(i) : rim);
            made.sign.push(draw.fled(race) ? "x" : draw.sign(i));
        }
        return made;
    };

    const balls = (plot, time) => {
        const none = { x: [], y: [], colour: [] };
        if (time === null) {
            if (plot.source("balls").data.x.length > 0) {
                plot.set("balls", none);
                plot.set("arrows", { xs: [], ys: [], colour: [] });
            }
            return;
        }
        const moving = plot.trails.map((trail) => ({ ...trail, ball: draw.ballAt(trail.xs, trail.ys, trail, time) }));
        const shown = moving.filter(({ ball }) => draw.inside(plot.look(), ball.x, ball.y));
        plot.set("balls", {
            x: shown.map(({ ball }) => ball.x), y: shown.map(({ ball }) => ball.y),
            colour: shown.map(({ i }) => ravine.colour(i)),
        });
        plot.set("arrows", draw.arrows(plot, shown));
    };

    // The steps as dots: as many as can be drawn without delay while something moves, more of them at rest.
    const dotted = (plot, most) => {
        const made = { x: [], y: [], colour: [] }, view = plot.look();
        const time = ravine.play.now(), shown = ({ last }) => (time === null ? last : Math.min(last, Math.floor(time)));
        const count = plot.trails.reduce((sum, trail) => sum + shown(trail) + 1, 0);
        if (count > most && plot.source("dots").data.x.length === 0) return;
        for (const trail of count > most ? [] : plot.trails) {
            const { i, xs, ys } = trail;
            for (let k = 0; k <= shown(trail); k += 1) {
                if (!draw.inside(view, xs[k], ys[k])) continue;
                made.x.push(xs[k]);
                made.y.push(ys[k]);
                made.colour.push(ravine.colour(i));
            }
        }
        plot.set("dots", made);
    };

    // What no run's own line in the controls says: what the arrows are, and why a path ends at the edge.
    const says = (plot, time) => {
        const { velocity, force } = draw.looks();
        plot.legend(time === null ? [] : [
            { sign: "arrow", colour: velocity, text: ravine.word("picture.velocity") },
            { sign: "arrow", colour: force, text: ravine.word("picture.force") },
        ]);
        const fled = time === null ? plot.trails.filter(({ race }) => draw.fled(race)) : [];
        plot.remark(fled.length > 1 ? ravine.word("picture.some_fled", { count: fled.length })
            : fled.map(({ race, i }) => ravine.word("picture.fled", {
                label: ravine.label(ravine.state.runs[i]), outcome: ravine.outcome(race),
            })).join(""));
    };

    // The step nearest to a pointer, of any path.
    const nearest = (plot, px, py) => {
        let best = null, least = NEAR * NEAR;
        const frame = draw.frame(plot), [[x0, x1], [y0, y1]] = draw.view(plot);
        const unit = [frame.width / (x1 - x0), frame.height / (y1 - y0)];
        for (const { race, i, xs, ys, last } of plot.trails) {
            for (let k = 0; k <= last; k += 1) {
                const dx = frame.left + (xs[k] - x0) * unit[0] - px, dy = frame.bottom - (ys[k] - y0) * unit[1] - py;
                const away = dx * dx + dy * dy;
                if (away < least) [least, best] = [away, { race, i, k, at: [px + dx, py + dy] }];
            }
        }
        return best;
    };

    draw.hover = (plot) => {
        const tip = draw.tip(plot), n = FACTS.surface.dim, word = ravine.word;
        const digits = (c) => ravine.digits(c, 4);
        const list = (values, k) => Array.from(values.subarray(k * n, (k + 1) * n), digits).join(", ");
        const show = (event) => {
            const found = draw.dragging !== "" || event.buttons > 0 && event.pointerType === "mouse"
                ? null : nearest(plot, ...draw.pointer(plot, event));
            if (found === null) return tip(null);
            const { race, i, k, at } = found;
            return tip(at, [
                ravine.label(ravine.state.runs[i]),
                word("picture.at_step", { step: k }),
                `(${FACTS.surface.variables.join(", ")}) = (${list(race.positions, k)})`,
                word("picture.at_value", { value: ravine.digits(race.values[k], 4) }),
                word("picture.at_velocity", { velocity: list(race.velocities, k) }),
            ]);
        };
        plot.box.addEventListener("pointermove", show);
        plot.box.addEventListener("pointerdown", show);
        plot.box.addEventListener("pointerleave", () => tip(null));
        ravine.listen(["races", "view"], () => tip(null));
    };
}
