// One step of a race: changes x and v in place. Python fills in the lines in capitals, traced from the stepper for one
// pattern of rows; every coordinate moves alike, so one stands for all.
(row, x, v, shift) => {
    // TAKE
    for (let i = 0; i < surface.dim; i += 1) {
        const x0 = x[i], v0 = v[i];
        // BEFORE
    }
    surface.slope(asked, slope);
    for (let i = 0; i < surface.dim; i += 1) {
        const x0 = x[i], v0 = v[i], g0 = slope[i], n0 = shift[i];
        // AFTER
    }
}
