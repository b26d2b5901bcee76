// What Python does otherwise than JavaScript, for the functions that are translated from it: formats, truth, equality,
// least and greatest, and what raises. What Python would refuse is thrown here, so that no wrong number goes on.

const py = (() => {
    const fail = (what) => { throw new TypeError(`translated Python: ${what}`); };

    const number = (x) => (typeof x === "number" ? x : fail(`${x} is no number`));
    const text = (x) => (typeof x === "string" ? x : fail(`${x} is no text`));
    const isList = (x) => Array.isArray(x) || ArrayBuffer.isView(x);
    const list = (x) => (Array.isArray(x) ? x : isList(x) ? Array.from(x) : fail(`${x} is no list`));
    const record = (x) => (x !== null && typeof x === "object" && !isList(x) ? x : fail(`${x} is no record`));

    // Numbers ------------------------------------------------------------------------------------------------------

    const over = (p, q) => (q === 0 ? fail("division by zero") : p / q);
    const sqrt = (x) => (x < 0 ? fail("square root of a negative number") : Math.sqrt(x));
    const log = (x) => (x <= 0 ? fail("logarithm of 0 or less") : Math.log(x));
    const sign = (x) => (x > 0 ? 1 : x < 0 ? -1 : x === 0 ? 0 : NaN);
    const copysign = (x, sign) => (sign < 0 || Object.is(sign, -0) ? -Math.abs(x) : Math.abs(x));

    // Truth and equality -------------------------------------------------------------------------------------------

    // NaN is true in Python, an empty list is not.
    const truth = (x) => {
        if (x === null) { return false; }
        if (typeof x === "number") { return x !== 0; }
        if (typeof x === "boolean") { return x; }
        return typeof x === "string" || isList(x) ? x.length > 0 : fail(`the truth of ${x} is not known`);
    };

    // Python takes the very same NaN in two lists for equal, another one not; here there is only one.
    const inside = (x) => (Number.isNaN(x) ? fail("NaN in a list is compared") : x);

    const comparable = (x) => x === null || isList(x) || typeof x === "number" || typeof x === "string";

    const same = (x, y) => {
        for (const each of [x, y]) { if (!comparable(each)) { fail(`${each} is compared`); } }
        if (!isList(x) || !isList(y)) { return x === y; }
        return x.length === y.length && list(x).every((each, i) => same(inside(each), inside(y[i])));
    };

    const contains = (items, x) =>
        (isList(items) ? list(items).some((each) => same(each, inside(x))) : Object.hasOwn(record(items), text(x)));

    // Lists and records --------------------------------------------------------------------------------------------

    const length = (x) => (typeof x === "string" || isList(x) ? x.length : Object.keys(record(x)).length);

    const item = (items, key) => {
        if (!isList(items)) { return Object.hasOwn(record(items), key) ? items[key] : fail(`there is no ${key}`); }
        const i = number(key) < 0 ? key + items.length : key;
        return Number.isInteger(i) && i >= 0 && i < items.length ? items[i] : fail(`there is no item ${key}`);
    };

    const get = (items, key, other = null) => (Object.hasOwn(record(items), text(key)) ? items[key] : other);

    const field = (of, name) => {
        const found = record(of)[name];
        return found === undefined ? fail(`there is no ${name}`) : found;
    };

    // A shape is 0 for one value, a list of shapes for several.
    const unpack = (items, shape) => {
        if (shape === 0) { return items; }
        const found = list(items);
        if (found.length !== shape.length) { fail("too many or too few to unpack"); }
        return found.map((each, i) => unpack(each, shape[i]));
    };

    const zip = (...lists) => {
        const [first, ...others] = lists.map(list);
        if (others.some((each) => each.length !== first.length)) { fail("lists of different lengths"); }
        return first.map((each, i) => [each, ...others.map((other) => other[i])]);
    };

    const range = (end) => Array.from({length: Math.max(0, end)}, (_, i) => i);
    const pairwise = (items) => list(items).slice(1).map((each, i) => [items[i], each]);
    // A Set would make 0 of -0.
    const unique = (items) => list(items).filter((x, i) => number(x) !== x || items.indexOf(x) === i);
    const sum = (items) => list(items).reduce((total, each) => total + number(each), 0);

    // Python keeps the first of equals, and what it already has where a number is NaN.
    const first = (better) => (items, key = (x) => x, ...other) => {
        const found = list(items);
        if (found.length === 0) { return other.length > 0 ? other[0] : fail("nothing to choose from"); }
        return found.reduce((best, each) => (better(number(key(each)), number(key(best))) ? each : best));
    };
    const least = first((x, y) => x < y);
    const greatest = first((x, y) => x > y);

    const sorted = (items, key = (x) => x) => {
        const keyed = list(items).map((each) => [number(key(each)), each]);
        if (keyed.some(([x]) => Number.isNaN(x))) { fail("NaN has no place in an order"); }
        return keyed.sort(([x], [y]) => (x < y ? -1 : x > y ? 1 : 0)).map(([, each]) => each);
    };

    const join = (between, items) => list(items).map(text).join(between);

    // Formats ------------------------------------------------------------------------------------------------------

    // JavaScript rounds a tie up, Python to the even digit; `exact` has so many digits that a tie is seen in it.
    const even = (rounded, exact, places) => {
        const cut = exact.slice(0, places), rest = exact.slice(places);
        return /^5(0*)$/.test(rest.replace(".", "")) && /[02468]\.?$/.test(cut) ? cut.replace(/\.$/, "") : rounded;
    };

    const fixed = (x, digits) => {
        if (x >= 1e21) { return BigInt(x).toString() + (digits > 0 ? `.${"0".repeat(digits)}` : ""); }
        const exact = x.toFixed(100), point = exact.indexOf(".");
        return even(x.toFixed(digits), exact, point + 1 + digits);
    };

    const general = (x, digits) => {
        const many = Math.max(1, digits), exact = x.toExponential(100);
        const [mantissa, power] = even(
            x.toExponential(many - 1), exact.slice(0, exact.indexOf("e")), many + 1,
        ).split("e");
        const exponent = Number(power ?? exact.slice(exact.indexOf("e") + 1));
        const plain = mantissa.replace(".", "").padEnd(many, "0");
        if (exponent < -4 || exponent >= many) {
            const sign = exponent < 0 ? "-" : "+";
            return `${bare(`${plain[0]}.${plain.slice(1)}`)}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
        }
        if (exponent < 0) { return bare(`0.${"0".repeat(-exponent - 1)}${plain}`); }
        return bare(`${plain.slice(0, exponent + 1)}.${plain.slice(exponent + 1)}`);
    };

    const bare = (digits) => digits.replace(/0*$/, "").replace(/\.$/, "");

    const format = (x, how) => {
        if (how === "") { return text(x); }
        if (how === "d") { return Number.isInteger(x) ? BigInt(x).toString() : fail(`${x} is no whole number`); }
        const [, digits, kind] = /^(?:\.(\d+))?([gf])$/.exec(how) ?? fail(`the format ${how} is not known`);
        if (Number.isNaN(number(x))) { return "nan"; }
        const sign = x < 0 || Object.is(x, -0) ? "-" : "", size = Math.abs(x);
        if (size === Infinity) { return `${sign}inf`; }
        return sign + (kind === "f" ? fixed : general)(size, digits === undefined ? 6 : Number(digits));
    };

    const fill = (phrase, values) =>
        text(phrase).replace(/\{(\w+)(?::([^{}]*))?\}/g, (_, name, how) => format(field(values, name), how ?? ""));

    return {
        number, text, list, over, sqrt, log, sign, copysign, truth, same, contains, length, item, get, field, unpack, zip,
        range, pairwise, unique, sum, least, greatest, sorted, join, format, fill,
    };
})();
