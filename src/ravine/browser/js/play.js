// Playing: the time moves from step to step, about six seconds for a whole run, and stops at the end.
{
    const SECONDS = 6;
    const LONGEST_FRAME = 100; // milliseconds: a page that was hidden goes on where it was
    const CALM_FRAMES = 24; // of a whole run, where less motion is asked for

    const calm = globalThis.matchMedia ? matchMedia("(prefers-reduced-motion: reduce)") : { matches: false };
    const frames = [], listeners = [];
    let before = 0;

    // `exact` lies between two steps while it plays, and is null at rest.
    const play = ravine.play = { playing: false, exact: null };

    play.onFrame = (fn) => frames.push(fn); // between two steps, when no listener of "time" is called
    play.listen = (fn) => listeners.push(fn); // when it begins and when it ends

    // The time at which the balls are: a number, or null where there are none.
    play.now = () => (play.playing && play.exact !== null ? play.exact : ravine.state.time);

    const longest = () => Math.max(...ravine.races.map((race) => (race ? race.steps : 0)), 0);

    const become = (playing) => {
        play.playing = playing;
        for (const fn of listeners) fn();
    };

    const stop = () => {
        play.exact = null;
        become(false);
        for (const fn of frames) fn();
    };

    const move = (time) => {
        play.exact = time;
        if (Math.floor(time) === ravine.state.time) for (const fn of frames) fn();
        else ravine.change({ time: Math.floor(time) });
    };

    const frame = (now) => {
        if (!play.playing) return;
        const end = longest(), passed = Math.min(now - before, LONGEST_FRAME * (calm.matches ? 10 : 1));
        const wait = calm.matches ? (1000 * SECONDS) / CALM_FRAMES : 0;
        if (passed >= wait) {
            before = now;
            let next = play.exact + (passed * end) / (1000 * SECONDS);
            if (calm.matches) next = Math.ceil(next);
            if (next >= end) {
                play.exact = null;
                play.playing = false;
                ravine.change({ time: end });
                stop();
                return;
            }
            move(next);
        }
        requestAnimationFrame(frame);
    };

    play.toggle = () => {
        if (play.playing) {
            stop();
            return;
        }
        if (longest() === 0) return; // no run is shown, or none made a step
        const time = ravine.state.time;
        play.exact = time === null || time >= longest() ? 0 : time;
        before = performance.now();
        become(true);
        move(play.exact);
        requestAnimationFrame(frame);
    };

    // Go to a step, or take the balls away with null.
    play.seek = (time) => {
        if (time === null && play.playing) stop();
        if (play.playing) play.exact = time;
        ravine.change({ time });
    };

    // Somebody else moved the time, such as a link that was opened.
    ravine.listen(["time"], () => {
        if (!play.playing) return;
        if (ravine.state.time === null) stop();
        else if (ravine.state.time !== Math.floor(play.exact)) play.exact = ravine.state.time;
    });
}
