"""The frame of a compiled map, into which `_lanes` writes a surface and a step. Lines `# NAME` are filled in.

`lanes()` and `whole_lanes()` are arrays of LANES numbers from the C library: LLVM knows that none overlaps another, and
puts the loops over j into SIMD registers. (Arrays on the stack it would take apart, lane by lane, and lose the loops.)
"""

TEMPLATE = """
@cfunc(SIGNATURE, nopython=True, error_model="numpy", fastmath=FAST)
def fill(all_keep, all_take, all_move, all_kick, all_look, start, cells, steps, target, ball,
         stopped, outcome, height, early, late):
    # MAKE
    owner = whole_lanes()
    end = whole_lanes()
    cell = 0
    busy = 0
    now = 0
    blocks = steps // BLOCK + 1
    quarter = blocks - blocks // 4
    cut = steps % BLOCK != BLOCK - 1
    for j in range(LANES):
        # BEGIN
        # REST
        owner[j] = -1
        end[j] = -1
        L_high[j] = -inf
        L_late[j] = -inf
        if cell < cells:
            # TAKE
            owner[j] = cell
            end[j] = blocks
            cell += 1
            busy += 1
    while busy > 0:
        for j in range(LANES):
            # KEEP
            # CLEAR
            L_low[j] = inf
        for _ in range(BLOCK):
            for j in range(LANES):
                # LOAD
                # LOOK
                low = f if f < low else low
                # WATCH
                # GO
                # STORE
        now += 1
        event = 0
        for j in range(LANES):
            fine = FINE & (end[j] != now)
            event |= not fine
        for j in range(LANES):
            if (end[j] == now) & cut:  # the last block goes on beyond the last step
                continue
            if now - end[j] + blocks <= quarter:
                L_high[j] = L_low[j] if L_low[j] > L_high[j] else L_high[j]
            else:
                L_late[j] = L_low[j] if L_low[j] > L_late[j] else L_late[j]
        if event == 0:
            continue
        for j in range(LANES):
            fine = FINE & (end[j] != now)
            if fine or owner[j] < 0:
                continue
            # BACK
            t = (now - 1 - end[j] + blocks) * BLOCK
            why = 0
            for k in range(BLOCK + 1):
                # LOOK
                # WIDE
                if f != f or wide != wide:
                    why = 3
                elif not abs(f) < inf:
                    why = 2
                elif f <= target:
                    why = 1
                elif not wide <= ball:
                    why = 2
                if why != 0 or t >= steps:
                    break
                if k < BLOCK:
                    # GO
                    t += 1
            if why == 0 and t < steps:
                continue
            stopped[owner[j]] = t
            outcome[owner[j]] = why
            height[owner[j]] = f
            early[owner[j]] = L_high[j]
            late[owner[j]] = L_late[j]
            # BEGIN
            L_high[j] = -inf
            L_late[j] = -inf
            if cell < cells:
                # TAKE
                owner[j] = cell
                end[j] = now + blocks
                cell += 1
            else:
                # REST
                owner[j] = -1
                end[j] = -1
                busy -= 1
    # FREE
    free(owner)
    free(end)
"""

# Sine and cosine without a branch, so that they go through lanes: x = q·π/2 + r with π/2 in three pieces (Cody &
# Waite 1980), and on [-π/4, π/4] the polynomials of the C library fdlibm. The absolute error is below 2e-16 for
# |x| < 1e5; beyond, it grows with |x|, and r is held so that no polynomial runs away.
WAVE = """
@njit(inline="always")
def _reduced(x):
    q = (x * 0.6366197723675814 + 6755399441055744.0) - 6755399441055744.0
    r = ((x - q * 1.5707963267341256) - q * 6.077100506303966e-11) - q * 2.0222662487959506e-21
    r = r if r < 0.8 else 0.8
    r = r if r > -0.8 else -0.8
    return q, r


@njit(inline="always")
def _wave(q, r):
    z = r * r
    s = z * (-1.66666666666666324348e-01 + z * (8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04
        + z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))))
    sine = r + r * s
    c = z * z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * (2.48015872894767294178e-05
        + z * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))))
    cosine = 1.0 - (0.5 * z - c)
    half = floor(q * 0.5)
    odd = q - 2.0 * half
    sign = 1.0 - 2.0 * (half - 2.0 * floor(half * 0.5))
    return sign * (cosine if odd != 0.0 else sine)


@njit(inline="always")
def _sin(x):
    q, r = _reduced(x)
    return _wave(q, r)


@njit(inline="always")
def _cos(x):
    q, r = _reduced(x)
    return _wave(q + 1.0, r)

"""
