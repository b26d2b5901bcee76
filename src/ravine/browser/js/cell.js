// One cell of a map: a trajectory from the start until it is over. Python fills in the lines in capitals, traced from
// the stepper for one surface and one pattern of rows.
(row, renew, start, steps, target, ball, found) => {
    // BEGIN
    // TAKE
    const quarter = blocksBeforeLast(steps);
    let low = Infinity, early = -Infinity, late = -Infinity, f = 0, t = 0;
    for (;; t += 1) {
        // LOOK
        if (f < low) low = f;
        if (t % BLOCK === BLOCK - 1) {
            if ((t + 1) / BLOCK <= quarter) early = Math.max(early, low);
            else late = Math.max(late, low);
            low = Infinity;
        }
        // What is no number fails every comparison, and so ends the loop.
        if (!(f > target && f < Infinity && NEAR) || t === steps) break;
        if (renew !== null) {
            renew(t, row);
            // TAKE
        }
        // GO
    }
    // WIDE
    found[0] = t;
    found[1] = f;
    found[2] = outcomeOf(f, wide, target, ball);
    found[3] = early;
    found[4] = late;
}
