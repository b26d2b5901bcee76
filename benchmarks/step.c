/* One step of heavy ball over flat arrays: v = keep v + g, x = x + move v; read x, g, v, write x, v. The bandwidth that
   a loop with this traffic reaches on a machine is what the flat step is held against. */

#include <stdint.h>

void step(float *restrict x, const float *restrict g, float *restrict v, int64_t n, float keep, float move) {
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float b = keep * v[i] + g[i];
        v[i] = b;
        x[i] += move * b;
    }
}
