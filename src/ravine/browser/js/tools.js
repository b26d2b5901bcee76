// Small tools that several scripts share: words, elements, numbers as text, the scales of sliders and axes.
{
    // A text in the language of the page, {name} filled in. What is filled in only ever becomes textContent.
    ravine.word = (key, values = {}) => {
        const text = Object.hasOwn(FACTS.words, key) ? FACTS.words[key] : key;
        const fill = (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole);
        return text.replace(/\{(\w+)\}/g, fill);
    };

    // The same for a name that may have no word, such as a setting of a chart.
    ravine.wordFor = (kind, name, otherwise = name) =>
        Object.hasOwn(FACTS.words, `${kind}.${name}`) ? FACTS.words[`${kind}.${name}`] : otherwise;

    // An element; children are elements or texts, a text never becomes markup.
    ravine.make = (tag, attributes = {}, ...children) => {
        const made = document.createElement(tag);
        for (const [name, value] of Object.entries(attributes)) {
            if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
            else if (value === true) made.setAttribute(name, "");
            else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
        }
        made.append(...children);
        return made;
    };

    // Writing the same text again would lay the page out again.
    ravine.write = (element, text) => {
        if (element.textContent !== text) element.textContent = text;
    };

    // A field that somebody is typing into keeps what stands there as long as it means the same number.
    ravine.writeField = (field, text) => {
        const typing = document.activeElement === field && field.value !== "" && Number(field.value) === Number(text);
        if (!typing && field.value !== text) field.value = text;
    };

    // A value in as many digits as one reads at a glance; just below 1, what is missing to 1 counts.
    const rounded = (value) => {
        if (typeof value === "string") return value;
        if (Array.isArray(value)) return value.map(rounded);
        const near = value > 0.999 && value < 1;
        return near ? ravine.scales.near1.tidy(value) : Number(ravine.digits(value, 5));
    };
    ravine.brief = (value) => {
        const text = engine.text(value);
        return text.length <= 8 ? text : engine.text(rounded(value));
    };

    // A field shows few digits and, while it has the focus, all of them; its title has them always.
    ravine.writeNumber = (field, value) => {
        const text = engine.text(value), brief = ravine.brief(value), typing = document.activeElement === field;
        field.dataset.exact = text;
        field.title = text === brief ? "" : text;
        ravine.writeField(field, typing ? text : brief);
    };

    // Tell `sentence()` where something is typed that is no number, which a browser may not even show.
    ravine.numeric = (field, sentence) => {
        field.addEventListener("focus", () => {
            const { exact } = field.dataset;
            if (exact === undefined || field.value === "" || field.value === exact) return;
            field.value = exact;
            field.select(); // as it was when the focus came by Tab: what is typed replaces the number
        });
        field.addEventListener("beforeinput", ({ data }) => {
            if (data && !/^[-+.,\deE\s]*$/.test(data)) ravine.tell(sentence());
        });
        field.addEventListener("change", () => field.validity.badInput && ravine.tell(sentence()));
    };

    // What the algebra answers, or null where it has no answer.
    ravine.ask = (question) => {
        try {
            return question();
        } catch {
            return null; // what Python would refuse is thrown, such as an lr that no float can square
        }
    };

    // A number in so many significant digits, as Python's format %g writes it.
    ravine.digits = (value, digits) => {
        if (Number.isNaN(value)) return "nan";
        if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
        if (value === 0) return Object.is(value, -0) ? "-0" : "0";
        const [mantissa, power] = value.toExponential(digits - 1).split("e");
        const exponent = Number(power);
        if (exponent >= -4 && exponent < digits) return trimmed(value.toFixed(digits - 1 - exponent));
        return `${trimmed(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
    };

    const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

    // A number in three digits, the way a legend wants it: draw/data.py, number.
    ravine.number = (value) => {
        const plain = value !== 0 && Math.abs(value) >= 1e-2 && Math.abs(value) < 1e6;
        return plain && Math.abs(value) >= 1000 ? value.toFixed(0) : ravine.digits(value, 3);
    };

    // How the values of a setting are spread: evenly after `there`, which `back` undoes (axes.py, SCALES).
    ravine.scales = {
        linear: { there: (x) => x, back: (u) => u, tidy: (x) => Number(x.toPrecision(3)) },
        log: { there: Math.log, back: Math.exp, tidy: (x) => Number(x.toPrecision(3)) },
        near1: {
            there: (x) => -Math.log1p(-x),
            back: (u) => -Math.expm1(-u),
            // Three digits of 1 - mu, so that 0.999 and 0.9985 are told apart.
            tidy: (x) => Number((1 - Number((1 - x).toPrecision(3))).toPrecision(12)),
        },
    };
}
