// A point that is dragged or moved with the arrow keys: an element over a picture that can have the focus.
{
    const STEP = 0.01, LEAP = 0.1; // of what is in view
    const ROOM = 12; // pixels between the edge and a handle whose place is out of view
    const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };

    draw.dragging = ""; // the kind of the handle that is dragged just now
    const released = [];
    draw.released = (fn) => released.push(fn);

    // `moved(x, y)` is called in the values of the axes; `says()` returns what is read out. Returns place(x, y) or
    // place(null) to hide it.
    draw.handle = (plot, { name, kind, moved, says }) => {
        const element = ravine.make("div", {
            class: `handle handle-${kind}`, tabindex: "0", role: "slider", "aria-label": name,
            "aria-roledescription": name, hidden: true,
        });
        plot.over.append(element);
        const handle = { element, at: [0, 0] };
        drag(plot, handle, kind, moved);
        element.addEventListener("keydown", (event) => step(plot, handle, event, moved));
        element.addEventListener("wheel", (event) => passed(element, event), { passive: false });
        handle.place = (x, y) => {
            element.hidden = x === null;
            if (x === null) return;
            handle.at = [x, y];
            settle(plot, handle);
            element.setAttribute("aria-valuenow", String(Number(x.toPrecision(6))));
            element.setAttribute("aria-valuetext", says());
        };
        plot.redrawn.push(() => element.hidden || settle(plot, handle));
        return handle;
    };

    // The wheel zooms what lies below.
    const passed = (element, event) => {
        event.preventDefault();
        element.style.pointerEvents = "none";
        let below = document, found = null;
        while (below) {
            const next = below.elementFromPoint(event.clientX, event.clientY);
            if (!next || next === found) break;
            found = next;
            below = found.shadowRoot;
        }
        element.style.pointerEvents = "";
        if (found) found.dispatchEvent(new WheelEvent("wheel", event));
    };

    // A place out of view is shown at the edge, so that it can be fetched back.
    const settle = (plot, { element, at }) => {
        const [px, py] = draw.pixel(plot, ...at), { left, right, top, bottom } = draw.frame(plot);
        const held = (at, low, high) => {
            if (at >= low - 1 && at <= high + 1) return Math.min(Math.max(at, low), high);
            return at > high ? high - ROOM : low + ROOM;
        };
        const x = held(px, left, right), y = held(py, top, bottom);
        element.classList.toggle("handle-outside", Math.abs(x - px) > 1 || Math.abs(y - py) > 1);
        element.style.transform = `translate(${x}px, ${y}px)`;
    };

    const drag = (plot, handle, kind, moved) => {
        const { element } = handle;
        let grip = null; // from the pointer to the handle's middle
        element.addEventListener("pointerdown", (event) => {
            if (event.button !== 0) return;
            event.preventDefault();
            element.focus({ preventScroll: true });
            element.setPointerCapture(event.pointerId);
            const [px, py] = draw.pointer(plot, event), [hx, hy] = draw.pixel(plot, ...handle.at);
            const far = element.classList.contains("handle-outside");
            grip = far ? [0, 0] : [hx - px, hy - py];
            draw.dragging = kind;
        });
        element.addEventListener("pointermove", (event) => {
            if (grip === null) return;
            const [px, py] = draw.pointer(plot, event);
            moved(...draw.value(plot, px + grip[0], py + grip[1]));
        });
        const end = () => {
            if (grip === null) return;
            grip = null;
            draw.dragging = "";
            for (const fn of released) fn();
        };
        element.addEventListener("pointerup", end);
        element.addEventListener("pointercancel", end);
        element.addEventListener("lostpointercapture", end);
    };

    // On the scale of the axis, so that a step is as far everywhere on a logarithmic one.
    const step = (plot, handle, event, moved) => {
        const way = KEYS[event.key];
        if (!way || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        event.stopPropagation();
        const share = event.shiftKey ? LEAP : STEP, { width, height } = draw.frame(plot);
        const [px, py] = draw.pixel(plot, ...handle.at);
        const [x, y] = draw.value(plot, px + way[0] * share * width, py - way[1] * share * height);
        moved(way[0] === 0 ? handle.at[0] : x, way[1] === 0 ? handle.at[1] : y);
    };
}
