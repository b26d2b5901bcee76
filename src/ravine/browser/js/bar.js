// The bar below the terrain: play and pause, and a slider that goes to any step.
{
    const { state, word, make, write } = ravine;
    const SVG = "http://www.w3.org/2000/svg";
    const PLAY = "M4 2.5v11l9.5-5.5z", PAUSE = "M4 2.5h3v11h-3zM9.5 2.5h3v11h-3z";

    const sign = () => {
        const svg = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
        svg.setAttribute("viewBox", "0 0 16 16");
        svg.setAttribute("aria-hidden", "true");
        path.setAttribute("fill", "currentColor");
        svg.append(path);
        return { svg, path };
    };

    const longest = () => Math.max(1, ...ravine.races.map((race) => (race ? race.steps : 0)));

    ravine.bar = (place) => {
        const { svg, path } = sign(), says = make("span", { class: "unseen" });
        const button = make("button", { type: "button", id: "play-toggle", class: "play" }, svg, says);
        button.addEventListener("click", () => ravine.play.toggle());
        const slider = make("input", { type: "range", id: "time", min: 0, step: 1, "aria-label": word("time") });
        const output = make("output", { for: "time" });
        const whole = make("button", { type: "button", id: "whole" }, word("whole"));
        whole.addEventListener("click", () => ravine.play.seek(null));
        slider.addEventListener("input", () => ravine.play.seek(Number(slider.value)));
        place.append(button, slider, output, whole);
        const update = () => {
            const end = longest(), time = state.time === null ? end : Math.min(state.time, end);
            if (Number(slider.max) !== end) slider.max = end;
            if (Number(slider.value) !== time) slider.value = time;
            write(output, word("step_of", { step: time, steps: end }));
            slider.setAttribute("aria-valuetext", output.textContent);
            whole.disabled = state.time === null;
            const nothing = !ravine.races.some((race) => race);
            button.setAttribute("aria-disabled", String(nothing));
            button.title = nothing ? word("none_shown") : says.textContent;
        };
        const dress = () => {
            path.setAttribute("d", ravine.play.playing ? PAUSE : PLAY);
            write(says, word(ravine.play.playing ? "pause" : "play"));
            update();
        };
        ravine.listen(["time", "races"], update);
        ravine.play.listen(dress);
        update();
        dress();
    };
}
