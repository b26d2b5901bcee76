// The cells of a map: walked in slices while the page stays at hand, coarse first, and painted as an image.
{
    const SLICE = 8, AGAIN = 200; // milliseconds of work at a time, and between two pictures of a map on its way
    const BLOCK = 4; // cells a side for which one stands while the map is coarse
    const NOT_YET = 0, REACHED = 1, NOT_WALKED = 4; // indices of cells.OUTCOMES
    const CLASSES = { // of draw/maps.py, by outcome, and their counterparts on a dark page
        light: ["#a9afba", "", "#fbe3d3", "#CC79A7", "#ffffff"],
        dark: ["#565c67", "", "#3f2e27", "#a85c88", "#1d2026"],
    };
    const DEEPEST = 100; // times the start's height
    const ABOVE_START = 10; // times the start's height: a value above it is off the scale

    draw.classes = () => (ravine.dark() ? CLASSES.dark : CLASSES.light);

    // Walk one map after the other; `painted(walker)` is called when there is something new to see. A map that is asked
    // for while another one is still coarse waits until that one was seen, so that a drag shows maps as it goes.
    draw.walks = (painted) => {
        let walker = null, rule = "", next = null, coarse = 0, seen = false, last = 0, asked = 0;
        const begin = () => {
            walker = engine.map(next);
            rule = next.rule;
            coarse = Math.ceil(next.x.values.length / BLOCK) * Math.ceil(next.y.values.length / BLOCK);
            next = null;
            seen = false;
        };
        const show = () => {
            painted(walker);
            last = performance.now();
            const { times } = ravine.map; // how long it takes, for whoever measures
            if (!seen) times.coarse = last - asked;
            if (walker.done === 1) times.full = last - asked;
            seen = true;
        };
        const slice = () => {
            if (next && (!walker || seen || next.rule !== rule)) begin(); // another rule has other axes
            if (!walker) return true;
            const done = walker.some(SLICE);
            if (done || (!seen && walker.walked >= coarse) || (seen && performance.now() - last > AGAIN)) show();
            if (next) return false;
            if (done) walker = null;
            return done || (seen && draw.dragging === "start");
        };
        const run = draw.sliced(slice);
        draw.released(run);
        return (spec) => {
            next = spec;
            asked = performance.now();
            run();
        };
    };

    // For each cell the one that stands for it: itself, or the first of its block.
    const standIn = ({ outcome }, cell, columns) => {
        if (outcome[cell] !== NOT_WALKED) return cell;
        const row = Math.floor(cell / columns), column = cell % columns;
        return (row - (row % BLOCK)) * columns + column - (column % BLOCK);
    };

    // The numbers behind the colours: steps until the target, or the value where no target is known.
    draw.shades = ({ outcome, stopped, value }, target) => {
        const steps = target !== null;
        let floor = 0;
        if (!steps) {
            floor = FACTS.floor === null ? Infinity : FACTS.floor;
            value.forEach((f, k) => { if (outcome[k] <= REACHED && f < floor) floor = f; });
            floor = Math.max(floor, -DEEPEST * Math.max(1, Math.abs(height()))); // what falls without end has no floor
        }
        const number = steps ? (k) => (outcome[k] === REACHED ? Math.max(stopped[k], 1) : NaN)
            : (k) => (outcome[k] <= REACHED ? value[k] - floor : NaN);
        const most = steps ? Infinity : ABOVE_START * Math.max(height() - floor, 0);
        let low = Infinity, high = 0;
        for (let k = 0; k < outcome.length; k += 1) {
            const shown = number(k);
            if (shown > 0 && shown < low) low = shown;
            if (shown > high && shown <= most) high = shown;
        }
        if (!(low < Infinity)) return { number, low: 1, high: 10, none: true, floor };
        return { number, low, high: Math.max(high, low * 1.1), none: false, floor };
    };

    const height = () => engine.surface.height(Float64Array.from(ravine.state.start));

    const packed = (hex) => (255 << 24 | parseInt(hex.slice(5, 7), 16) << 16 | parseInt(hex.slice(3, 5), 16) << 8
        | parseInt(hex.slice(1, 3), 16)) >>> 0;

    // The image of a map, row by row from below, and how many cells are of each outcome.
    draw.cells = (walker, columns, { number, low, high }, palette) => {
        const colours = palette.map(packed), classes = draw.classes().map((hex) => (hex ? packed(hex) : 0));
        const bottom = Math.log(low), span = Math.log(high) - bottom, most = colours.length;
        const image = new Uint32Array(walker.outcome.length), counts = [0, 0, 0, 0, 0];
        for (let cell = 0; cell < image.length; cell += 1) {
            const k = standIn(walker, cell, columns), shown = number(k);
            const share = (Math.log(Math.max(shown, low)) - bottom) / span;
            image[cell] = Number.isNaN(shown) ? classes[walker.outcome[k] === REACHED ? NOT_YET : walker.outcome[k]]
                : colours[Math.min(Math.floor(share * most), most - 1)];
            counts[walker.outcome[k]] += 1;
        }
        return { image, counts };
    };
}
