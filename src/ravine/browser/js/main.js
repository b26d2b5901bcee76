// Boots the page: the state out of the link, the controls, the pictures; then keeps the link up to date.
{
    const { state, word } = ravine;
    const PAUSE = 400; // milliseconds without a change before the fragment is written
    const byId = (id) => document.getElementById(id);

    // Notices ------------------------------------------------------------------------------------------------------

    // What is said stays until something else was done, or it is closed.
    const notices = () => {
        const toast = byId("notice").querySelector(".toast"), text = toast.querySelector(".text");
        ravine.tell = (said) => {
            ravine.write(text, said);
            toast.hidden = said === "";
        };
        const close = () => ravine.tell("");
        toast.querySelector("button").addEventListener("click", close);
        ravine.listen(["runs", "focus", "start", "steps", "noise", "seed"], close);
    };

    // Link ---------------------------------------------------------------------------------------------------------

    const links = () => {
        let timer = 0;
        ravine.listen(Object.keys(state), () => {
            clearTimeout(timer);
            timer = setTimeout(ravine.keep, PAUSE);
        });
        window.addEventListener("hashchange", () => {
            if (!ravine.isOurs(location.hash)) ravine.restore(location.hash);
        });
    };

    // Pictures -----------------------------------------------------------------------------------------------------

    const picture = async (name, id) => {
        const place = byId(id);
        try {
            await ravine[name](place);
        } catch (error) {
            ravine.tell(word("failed_picture", { name: word(name) }));
            throw error;
        } finally {
            place.removeAttribute("aria-busy");
        }
    };

    const pictures = async () => {
        const many = FACTS.surface.dim > 2;
        byId("terrain").hidden = many;
        byId("panels").hidden = !many;
        await picture(many ? "panels" : "terrain", many ? "panels" : "terrain");
        await Promise.all([picture("curves", "curves"), picture("map", "map")]);
    };

    // The verdict is read out when a slider rests, not at every one of its positions.
    const calm = () => {
        const busy = (event) => byId("verdict").setAttribute("aria-busy", String(event.type === "input"));
        byId("controls").addEventListener("input", busy);
        byId("controls").addEventListener("change", busy);
    };

    const boot = async () => {
        notices();
        ravine.change({ runs: FACTS.runs, focus: ravine.leading(FACTS.runs) });
        ravine.restore(location.hash);
        ravine.theme(byId("theme"));
        ravine.presets(byId("preset"));
        ravine.controls(byId("controls"));
        ravine.readout(byId("readout"));
        ravine.share(byId("share"));
        ravine.bar(byId("play"));
        calm();
        await pictures();
        links();
        ravine.ready = performance.now(); // when the page became usable, milliseconds after it was opened
    };

    boot();
}
