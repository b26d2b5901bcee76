// The terrain of two coordinates: the ground, the paths on it, the start that is dragged, the balls; of one coordinate
// the curve (slope.js), of more nothing.
{
    const TOOLS = {
        PanTool: "picture.tool.pan", WheelZoomTool: "picture.tool.wheel_zoom", BoxZoomTool: "picture.tool.box_zoom",
        ResetTool: "picture.tool.reset",
    };

    ravine.terrain = async (element) => {
        if (FACTS.items.terrain === null) {
            element.hidden = true;
            return;
        }
        const plot = await draw.embed(element, FACTS.items.terrain, "terrain");
        for (const tool of plot.figure.toolbar.tools) tool.description = ravine.word(TOOLS[tool.type]);
        // A finger that moves up or down scrolls the page; what it presses or two fingers do is the picture's.
        plot.view.canvas_view.events_el.style.touchAction = "pan-y";
        // Beside the tools, where nothing moves when there is something to say.
        const head = ravine.make("div", { class: "plot-head" });
        plot.box.append(head);
        plot.legend = draw.legend(head);
        plot.remark = draw.remark(head);
        await (FACTS.surface.dim === 1 ? draw.slope(plot) : terrain(plot));
    };

    const terrain = (plot) => {
        const grounds = draw.grounds(plot);
        plot.look = () => draw.view(plot);
        plot.column = (race) => draw.columns(race);
        const scene = draw.scene(plot);
        draw.views(plot, { home: () => home(plot), moved: () => {
            grounds.moving();
            scene.paths();
        } });
        start(plot);
        draw.hover(plot);
        const dress = () => {
            const { ink, rim } = draw.looks();
            plot.find("minima").glyph.setv({ line_color: ink });
            for (const name of ["rims", "arrow rims", "balls"]) plot.find(name).glyph.setv({ line_color: rim });
            grounds.now();
            scene.paths();
        };
        plot.set("minima", { x: FACTS.minima.map((point) => point[0]), y: FACTS.minima.map((point) => point[1]) });
        dress();
        ravine.listen(["theme"], dress);
    };

    // What is in view at first: the box that Python chose, grown to hold the start; with equal scales where the box is
    // not too long for that.
    const home = (plot) => {
        const box = FACTS.box.map(([low, high], i) => {
            const at = ravine.state.start[i], room = 0.08 * (high - low);
            return [at < low ? at - room : low, at > high ? at + room : high];
        });
        const { width, height } = draw.frame(plot), spans = FACTS.box.map(([low, high]) => high - low);
        const shape = spans[1] / spans[0];
        if (shape < 0.4 || shape > 2.5) return box;
        const unit = Math.max((box[0][1] - box[0][0]) / width, (box[1][1] - box[1][0]) / height);
        return box.map(([low, high], i) => {
            const middle = (low + high) / 2, half = (unit * (i === 0 ? width : height)) / 2;
            return [middle - half, middle + half];
        });
    };

    const start = (plot) => {
        const coordinate = (name, i) => `${name} = ${ravine.digits(ravine.state.start[i], 4)}`;
        const says = () => FACTS.surface.variables.map(coordinate).join(", ");
        const handle = draw.handle(plot, {
            name: ravine.word("picture.start"), kind: "start", says,
            moved: (x, y) => ravine.change({ start: [x, y] }),
        });
        const place = () => handle.place(...ravine.state.start);
        ravine.listen(["start"], place);
        place();
    };
}
