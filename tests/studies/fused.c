/* The practical limit on one core: sigmoid's dx in float32, everything fused in cache.

   Philox4x32-10 counters -> Box-Muller -> dx = dy·y·(1 − y) -> sums of dx, dx², dx⁴.

     cc -O3 -march=native -ffast-math -fopenmp-simd -mprefer-vector-width=512 fused.c -o fused -lm
     ./fused 1e8 [stream]

   Every transcendental has a loop of its own: in one loop gcc merges sinf and cosf into a scalar
   sincosf and nothing is vectorised, which makes the "limit" five times too slow. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LANES = 2048, ROUNDS = 10 };

static uint32_t word[4][LANES];
static float radius[2][LANES], angle[2][LANES], cosine[LANES];

static void philox(uint64_t first, uint32_t stream) {
  uint32_t key0 = 0x2545F491u, key1 = stream;
  for (int i = 0; i < LANES; i++) {
    uint64_t counter = first + (uint64_t)i;
    word[0][i] = (uint32_t)counter;
    word[1][i] = (uint32_t)(counter >> 32);
    word[2][i] = word[3][i] = 0;
  }
  for (int round = 0; round < ROUNDS; round++) {
#pragma omp simd
    for (int i = 0; i < LANES; i++) {
      uint64_t a = (uint64_t)0xD2511F53u * word[0][i], b = (uint64_t)0xCD9E8D57u * word[2][i];
      uint32_t w1 = word[1][i], w3 = word[3][i];
      word[0][i] = (uint32_t)(b >> 32) ^ w1 ^ key0;
      word[1][i] = (uint32_t)b;
      word[2][i] = (uint32_t)(a >> 32) ^ w3 ^ key1;
      word[3][i] = (uint32_t)a;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

static void normals(int half) {
  const uint32_t *u = word[2 * half], *v = word[2 * half + 1];
  float *x = radius[half], *dy = angle[half];
#pragma omp simd
  for (int i = 0; i < LANES; i++) {
    x[i] = sqrtf(-2.0f * logf(((float)(int32_t)(u[i] >> 1) + 0.5f) * 0x1p-31f));
    dy[i] = (float)(int32_t)v[i] * (float)(M_PI * 0x1p-31);
  }
#pragma omp simd
  for (int i = 0; i < LANES; i++) cosine[i] = cosf(dy[i]);
#pragma omp simd
  for (int i = 0; i < LANES; i++) dy[i] = sinf(dy[i]);
#pragma omp simd
  for (int i = 0; i < LANES; i++) {
    dy[i] *= x[i];
    x[i] *= cosine[i];
  }
}

int main(int argc, char **argv) {
  const uint64_t draws = argc > 1 ? (uint64_t)strtod(argv[1], NULL) : 100000000u;
  const uint32_t stream = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
  const uint64_t blocks = (draws + 2 * LANES - 1) / (2 * LANES);
  double sum1 = 0, sum2 = 0, sum4 = 0;
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (uint64_t block = 0; block < blocks; block++) {
    float part1 = 0, part2 = 0, part4 = 0;
    philox(block * LANES, stream);
    for (int half = 0; half < 2; half++) {
      const float *x = radius[half], *dy = angle[half];
      normals(half);
#pragma omp simd reduction(+ : part1, part2, part4)
      for (int i = 0; i < LANES; i++) {
        float y = 1 / (1 + expf(-x[i])), dx = dy[i] * y * (1 - y), square = dx * dx;
        part1 += dx;
        part2 += square;
        part4 += square * square;
      }
    }
    sum1 += part1;
    sum2 += part2;
    sum4 += part4;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  const double n = (double)(blocks * 2 * LANES);
  const double mean = sum1 / n, variance = sum2 / n - mean * mean;
  const double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
  printf("%.9f %.9f %.6f\n", sqrt(variance), sqrt((sum4 / n - variance * variance) / n) / (2 * sqrt(variance)),
         seconds / n * 1e9);
  return 0;
}
