/* Classical momentum on a grid of (lr, mu): the first step at or below the target, or the step of divergence.

   LANES cells run side by side as inner loops of fixed length, which gcc turns into SIMD. Every BLOCK steps one test
   on each lane's least and greatest value decides whether any lane is done; the block's positions and values are still
   in memory then, so the exact step is read off. A lane that is done takes the next cell at once, so none runs idle. */

#include <math.h>
#include <pthread.h>
#include <stdint.h>

#ifndef LANES
#define LANES 32 /* at most 64: one bit each in `done` */
#endif
#define BLOCK 8
#define CHUNK 4096
#define THREADS 64
#define MOST 0x1.fffffffffffffp1023 /* the largest double: what is not at most this is infinite or NaN */

struct grid {
    const double *lr, *mu;
    int32_t *codes;
    int64_t cells, taken;
    int32_t steps;
    double target;
};

/* Each surface: the value f and the slopes g, h at (x, y). TERMWISE keeps to the sums that differentiating term by term
   gives, as the Python peers compute them; without FMA (-ffp-contract=off) the codes are then theirs bit for bit. */

static inline __attribute__((always_inline)) void bowl(double x, double y, double *f, double *g, double *h)
{
    *f = x * x + 50 * (y * y);
    *g = 2 * x;
    *h = 100 * y;
}

static inline __attribute__((always_inline)) void rosenbrock(double x, double y, double *f, double *g, double *h)
{
    double square = x * x, a = 1 - x, b = y - square;
    *f = a * a + 100 * (b * b);
#ifndef TERMWISE
    *g = -400 * x * b - 2 * a;
    *h = 200 * b;
#else
    *g = -400 * x * b + 2 * x - 2;
    *h = 200 * y - 200 * square;
#endif
}

static inline __attribute__((always_inline)) void himmelblau(double x, double y, double *f, double *g, double *h)
{
    double p = x * x, q = y * y, a = p + y - 11, b = x + q - 7;
    *f = a * a + b * b;
#ifndef TERMWISE
    *g = 4 * x * a + 2 * b;
    *h = 4 * y * b + 2 * a;
#else
    *g = 2 * q + 4 * x * a + 2 * x - 14;
    *h = 2 * p + 4 * y * b + 2 * y - 22;
#endif
}

/* Change the sign of a value if the last bit of another is set. */
static inline __attribute__((always_inline)) double turned(double value, double by)
{
    union { double real; uint64_t bits; } a = {value}, b = {by};
    a.bits ^= b.bits << 63;
    return a.real;
}

/* 10 - 10 cos(2 pi x) and 20 pi sin(2 pi x). Half the period is 1/2, so the reduction to |r| <= 1/4 is exact: adding
   a large number rounds x to halves, and the last bit of the sum says whether the sign turns. s and c are the sine and
   cosine of pi r, minimax in r * r to 5e-17, and the doubled angle keeps the sine relatively accurate at 0. */
static inline __attribute__((always_inline)) void wave(double x, double *rise, double *slope)
{
    const double large = 0x1.8p51;
    double rounded = x + large, r = x - (rounded - large), u = r * r;
    double s = r * (3.141592653589793 + u * (-5.167712780049954 + u * (2.5501640398733763 + u * (-0.5992645289396449
        + u * (0.08214586918000175 + u * (-0.007370021586907771 + u * 0.000461531855383581))))));
    double c = 1 + u * (-4.934802200544605 + u * (4.058712126397836 + u * (-1.3352627670365804 + u * (0.2353305472106652
        + u * (-0.025804938510627626 + u * 0.0019068093183945778)))));
    double sign = turned(1, rounded);
    *rise = 10 - sign * (10 - 20 * (s * s));
    *slope = sign * s * (125.66370614359172 * c);
}

static inline __attribute__((always_inline)) void rastrigin(double x, double y, double *f, double *g, double *h)
{
    double a, b, p, q;
    wave(x, &a, &p);
    wave(y, &b, &q);
    *f = x * x + y * y + (a + b);
    *g = 2 * x + p;
    *h = 2 * y + q;
}

/* FLOOR(radius): less than any value outside the ball max(|x|, |y|) <= radius, so that only a block with a value above
   it, or with NaN, need look at coordinates. */
#define BOWL_FLOOR(radius) (0.9 * (radius) * (radius))
#define ROSENBROCK_FLOOR(radius) (0.9 * (sqrt(radius) - 1) * (sqrt(radius) - 1))
#define HIMMELBLAU_FLOOR(radius) (0.1 * (radius) * (radius))
#define RASTRIGIN_FLOOR(radius) (0.9 * (radius) * (radius))

#define DEFINE(NAME, X0, Y0, FLOOR)                                                                                    \
    static void *NAME##_work(void *given)                                                                              \
    {                                                                                                                  \
        struct grid *grid = given;                                                                                     \
        const double radius = 1e8 * fmax(1, fmax(fabs(X0), fabs(Y0))), floor = FLOOR(radius), target = grid->target;   \
        const int64_t blocks = grid->steps > 0 ? (grid->steps + BLOCK - 1) / BLOCK : 1;                                \
        double x[BLOCK + 1][LANES], y[BLOCK + 1][LANES], f[BLOCK][LANES], low[LANES], high[LANES];                     \
        double v[LANES], w[LANES], g[LANES], h[LANES], lr[LANES], mu[LANES], f0, g0, h0;                               \
        int64_t cell[LANES], end[LANES], bit[LANES], now = 0, next = 0, last = 0, running = LANES;                     \
        NAME(X0, Y0, &f0, &g0, &h0);                                                                                   \
        for (int i = 0; i < LANES; i++) {                                                                              \
            cell[i] = -1;                                                                                              \
            end[i] = 0;                                                                                                \
            bit[i] = (int64_t)1 << i;                                                                                  \
            low[i] = INFINITY;                                                                                         \
            high[i] = 0;                                                                                               \
        }                                                                                                              \
        for (;;) {                                                                                                     \
            int64_t done = 0;                                                                                          \
            for (int i = 0; i < LANES; i++)                                                                            \
                done |= (low[i] <= target) | !(high[i] <= floor) | (end[i] == now) ? bit[i] : 0;                       \
            for (; done; done &= done - 1) {                                                                           \
                int i = __builtin_ctzll(done), reached = 0, left = 0;                                                  \
                int32_t begun = (int32_t)((now - (end[i] - blocks) - 1) * BLOCK), code = 0;                            \
                if (cell[i] >= 0) {                                                                                    \
                    for (int k = 0; k < BLOCK; k++) {                                                                  \
                        reached |= (f[k][i] <= target) << k;                                                           \
                        int inside = (fabs(x[k + 1][i]) <= radius) & (fabs(y[k + 1][i]) <= radius);                    \
                        left |= (!inside | !(f[k][i] <= MOST)) << k;                                                   \
                    }                                                                                                  \
                    if (reached | left) {                                                                              \
                        int k = __builtin_ctz(reached | left);                                                         \
                        code = begun + k + 1;                                                                          \
                        if (code > grid->steps)                                                                        \
                            code = grid->steps + 1;                                                                    \
                        else if (!(reached >> k & 1))                                                                  \
                            code = -code;                                                                              \
                    } else if (now == end[i])                                                                          \
                        code = grid->steps + 1;                                                                        \
                    else                                                                                               \
                        continue; /* far up, yet inside the ball */                                                    \
                    grid->codes[cell[i]] = code;                                                                       \
                }                                                                                                      \
                if (next == last) {                                                                                    \
                    next = __atomic_fetch_add(&grid->taken, CHUNK, __ATOMIC_RELAXED);                                  \
                    last = next + CHUNK < grid->cells ? next + CHUNK : grid->cells;                                    \
                    if (next >= last)                                                                                  \
                        next = last = 0;                                                                               \
                }                                                                                                      \
                if (next < last) {                                                                                     \
                    cell[i] = next++;                                                                                  \
                    end[i] = now + blocks;                                                                             \
                    lr[i] = grid->lr[cell[i]];                                                                         \
                    mu[i] = grid->mu[cell[i]];                                                                         \
                } else {                                                                                               \
                    if (cell[i] >= 0 || !end[i])                                                                       \
                        running--;                                                                                     \
                    cell[i] = -1; /* an idle lane rests at the start */                                                \
                    end[i] = INT64_MAX;                                                                                \
                    lr[i] = mu[i] = 0;                                                                                 \
                }                                                                                                      \
                x[BLOCK][i] = X0;                                                                                      \
                y[BLOCK][i] = Y0;                                                                                      \
                v[i] = w[i] = 0;                                                                                       \
                g[i] = g0;                                                                                             \
                h[i] = h0;                                                                                             \
            }                                                                                                          \
            if (!running)                                                                                              \
                return 0;                                                                                              \
            for (int i = 0; i < LANES; i++) {                                                                          \
                x[0][i] = x[BLOCK][i];                                                                                 \
                y[0][i] = y[BLOCK][i];                                                                                 \
                low[i] = INFINITY;                                                                                     \
                high[i] = 0;                                                                                           \
            }                                                                                                          \
            for (int k = 0; k < BLOCK; k++)                                                                            \
                for (int i = 0; i < LANES; i++) {                                                                      \
                    v[i] = mu[i] * v[i] - lr[i] * g[i];                                                                \
                    w[i] = mu[i] * w[i] - lr[i] * h[i];                                                                \
                    x[k + 1][i] = x[k][i] + v[i];                                                                      \
                    y[k + 1][i] = y[k][i] + w[i];                                                                      \
                    NAME(x[k + 1][i], y[k + 1][i], &f[k][i], &g[i], &h[i]);                                            \
                    low[i] = low[i] < f[k][i] ? low[i] : f[k][i];                                                      \
                    high[i] = high[i] > f[k][i] ? high[i] : f[k][i];                                                   \
                }                                                                                                      \
            now++;                                                                                                     \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    void map_##NAME(const double *lr, const double *mu, int32_t *codes, int64_t cells, int32_t steps, double target,   \
                    int32_t threads)                                                                                   \
    {                                                                                                                  \
        struct grid grid = {lr, mu, codes, cells, 0, steps, target};                                                   \
        pthread_t others[THREADS];                                                                                     \
        int started = 0;                                                                                               \
        while (started < threads - 1 && started < THREADS                                                              \
               && !pthread_create(&others[started], 0, NAME##_work, &grid))                                            \
            started++;                                                                                                 \
        NAME##_work(&grid);                                                                                            \
        while (started)                                                                                                \
            pthread_join(others[--started], 0);                                                                        \
    }

DEFINE(bowl, 180.0, 90.0, BOWL_FLOOR)
/* Two steps of the bowl run faster interleaved; the longer formulas would run out of registers. */
#pragma GCC optimize("no-loop-unroll-and-jam")
DEFINE(rosenbrock, -1.2, 1.0, ROSENBROCK_FLOOR)
DEFINE(himmelblau, 0.0, -4.5, HIMMELBLAU_FLOOR)
DEFINE(rastrigin, 4.2, 3.4, RASTRIGIN_FLOOR)
