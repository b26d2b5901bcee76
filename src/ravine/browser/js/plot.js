// What the pictures share: a Bokeh figure in an element, its colours in either theme, and sources by their names.
const draw = ravine.draw = {};
{
    const SETTLED = 150; // milliseconds without a change after which a picture is at rest

    draw.looks = () => (ravine.dark()
        ? { ink: "#e8eaed", faint: "#9aa3ad", rim: "#12161b", force: "#ff8a80", velocity: "#ffffff" }
        : { ink: "#222222", faint: "#5d6570", rim: "#ffffff", force: "#b3261e", velocity: "#111111" });

    // Embed an item and return what the pictures need of it. A picture lies in a box of its own, over which handles and
    // tooltips are placed in pixels; `redrawn` functions are called whenever the axes or the size have changed.
    draw.embed = async (element, item, name) => {
        const host = ravine.make("div", { class: "plot-host" });
        const over = ravine.make("div", { class: "plot-over" });
        const box = ravine.make("div", { class: `plot plot-${name}` }, host, over);
        element.append(box);
        const views = await Bokeh.embed.embed_item(item, host);
        const view = views.roots[0], figure = view.model;
        const plot = { box, over, view, figure, redrawn: [], x: figure.x_range, y: figure.y_range };
        const sources = new Map();
        plot.source = (source) => {
            if (!sources.has(source)) sources.set(source, figure.document.get_model_by_name(`${source} data`));
            return sources.get(source);
        };
        plot.set = (source, data) => {
            const model = plot.source(source), empty = Object.values(data)[0].length === 0;
            for (const renderer of plot.renderers.get(model)) if (renderer.visible === empty) renderer.visible = !empty;
            model.data = data;
        };
        plot.find = (model) => figure.document.get_model_by_name(model);
        plot.renderers = new Map(figure.renderers.map((model) => [model.data_source, []]));
        for (const model of figure.renderers) plot.renderers.get(model.data_source).push(model);
        // The handles are what the keyboard reaches; Bokeh's own layer answers to no key.
        Object.assign(view.canvas_view.events_el, { tabIndex: -1 }).style.outline = "none";
        lighten(view);
        watch(plot);
        dress(plot);
        ravine.listen(["theme"], () => dress(plot));
        return plot;
    };

    // Bokeh measures all labels of the axes before every paint, a third of what a paint takes; what lies over the
    // ground changes none of them. Where another Bokeh has other names for this, it is only slower.
    const lighten = (view) => {
        const measure = view._invalidate_layout_if_needed, painters = view._invalidated_painters;
        if (typeof measure !== "function" || !(painters instanceof Set)) return;
        view._invalidate_layout_if_needed = () => {
            const only = !view._invalidate_all && !view._needs_layout && painters === view._invalidated_painters
                && painters.size > 0 && [...painters].every(({ model }) => model.level === "overlay");
            if (!only) measure.call(view);
        };
    };

    // Tell `redrawn` when the frame is elsewhere or the ranges are others than at the last paint.
    const watch = (plot) => {
        let last = "";
        plot.view.repainted.connect(() => {
            const { left, top, width, height } = plot.view.frame.bbox;
            const now = [left, top, width, height, plot.x.start, plot.x.end, plot.y.start, plot.y.end].join();
            if (now === last) return;
            last = now;
            for (const fn of plot.redrawn) fn();
        });
    };

    draw.frame = (plot) => plot.view.frame.bbox;
    draw.pixel = (plot, x, y) => [plot.view.frame.x_scale.compute(x), plot.view.frame.y_scale.compute(y)];
    draw.value = (plot, px, py) => [plot.view.frame.x_scale.invert(px), plot.view.frame.y_scale.invert(py)];

    // Where a pointer is, in pixels of the picture.
    draw.pointer = (plot, event) => {
        const { left, top } = plot.over.getBoundingClientRect();
        return [event.clientX - left, event.clientY - top];
    };

    // Set the ranges at once, so that the picture is painted once.
    draw.range = (range, [start, end]) => {
        if (range.start !== start || range.end !== end) range.setv({ start, end, reset_start: start, reset_end: end });
    };

    // The colours of a figure's axes; what the pictures draw themselves they colour when they hear of the theme.
    const dress = ({ figure }) => {
        const { ink, faint } = draw.looks();
        for (const axis of [...figure.below, ...figure.left].filter((model) => "axis_label" in model)) {
            axis.setv({
                axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: faint,
                major_tick_line_color: faint,
            });
        }
        for (const grid of figure.center.filter((model) => "grid_line_color" in model)) {
            grid.setv({ grid_line_color: ink, grid_line_alpha: 0.1 });
        }
        if (figure.title) figure.title.text_color = ink;
    };

    // Call a function once after everything that happens now, before the next paint.
    draw.soon = (fn) => {
        let waiting = false;
        return () => {
            if (waiting) return;
            waiting = true;
            queueMicrotask(() => {
                waiting = false;
                fn();
            });
        };
    };

    // Call a function when nothing has asked for it for a while.
    draw.later = (fn, wait = SETTLED) => {
        let timer = 0;
        return () => {
            clearTimeout(timer);
            timer = setTimeout(fn, wait);
        };
    };

    // Work in slices so that what is typed and dragged is served in between; `slice` returns true when all is done.
    draw.sliced = (slice) => {
        const channel = new MessageChannel();
        let running = false;
        channel.port1.onmessage = () => {
            running = !slice();
            if (running) channel.port2.postMessage(null);
        };
        return () => {
            if (running) return;
            running = true;
            channel.port2.postMessage(null);
        };
    };

    // A legend of texts behind signs; the entries are {sign, colour, text}, where sign is a class of page.css.
    draw.legend = (element) => {
        const list = ravine.make("ul", { class: "plot-legend" });
        element.append(list);
        let shape = "";
        return (entries) => {
            const now = entries.map(({ sign }) => sign).join();
            if (now !== shape) {
                shape = now;
                const mark = (sign) => ravine.make("span", { class: `sign sign-${sign}`, "aria-hidden": "true" });
                const entry = ({ sign }) => ravine.make("li", {}, mark(sign), ravine.make("span"));
                list.replaceChildren(...entries.map(entry));
            }
            entries.forEach(({ colour, text }, i) => {
                const [mark, words] = list.children[i].children;
                if (mark.dataset.colour !== colour) {
                    mark.dataset.colour = colour;
                    mark.style.color = colour;
                }
                ravine.write(words, text);
            });
        };
    };

    // One line below a picture, hidden while there is nothing to say.
    draw.remark = (element) => {
        const made = ravine.make("p", { class: "plot-remark", hidden: true });
        element.append(made);
        return (text) => {
            made.hidden = text === "";
            ravine.write(made, text);
        };
    };

    // Lines of text beside a place of a picture, and a ring on the place.
    draw.tip = (plot) => {
        const tip = ravine.make("div", { class: "plot-tip", hidden: true });
        const ring = ravine.make("div", { class: "plot-ring", hidden: true });
        plot.over.append(ring, tip);
        return (at, lines = []) => {
            tip.hidden = ring.hidden = at === null;
            if (at === null) return;
            tip.replaceChildren(...lines.map((line) => ravine.make("div", {}, line)));
            ring.style.transform = `translate(${at[0]}px, ${at[1]}px)`;
            const { width, height } = plot.over.getBoundingClientRect();
            const left = at[0] + 14 + tip.offsetWidth > width ? at[0] - 14 - tip.offsetWidth : at[0] + 14;
            const top = Math.min(Math.max(at[1] - tip.offsetHeight / 2, 0), height - tip.offsetHeight);
            tip.style.transform = `translate(${Math.max(left, 0)}px, ${top}px)`;
        };
    };
}
