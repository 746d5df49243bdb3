/* Calls every kind of kernel that ahead_kernels.py compiles, and prints what came of it: test_ahead_c.py compares the lines. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ahead_kernels.h"

#define N 1000

static float x[N], y[N], out[N];
static const int64_t n = N;
static const anygpu_array ax = {x, &n, NULL}, ay = {y, &n, NULL}, aout = {out, &n, NULL};

static void show(const char *what, int32_t code, const anygpu_error *error) {
    printf("%s: %d", what, (int)code);
    if (code == ANYGPU_INDEX_ERROR)
        printf(" %lld of %lld failures: index %lld of %s[%lld] in %s, line %lld, column %lld, in %s, block %lld thread %lld", 1LL,
               (long long)error->count, (long long)error->index[0], error->array, (long long)error->shape[0], error->kernel,
               (long long)error->line, (long long)error->column, error->function, (long long)error->block[0], (long long)error->thread[0]);
    if (code == ANYGPU_ASSERTION_FAILED)
        printf(" %s in %s, %lld times, block %lld thread %lld", error->message, error->kernel, (long long)error->count,
               (long long)error->block[0], (long long)error->thread[0]);
    if (code == ANYGPU_BAD_ARGUMENT) printf(" %s of %s", error->array, error->kernel);
    printf("\n");
}

typedef struct part {
    anygpu_launch launch;
    int32_t code;
} part;

static void *run_part(void *given) {
    part *mine = given;
    mine->code = saxpy(&mine->launch, 2.0f, &ax, &ay, &aout, NULL);
    return NULL;
}

static double total(void) {
    double sum = 0;
    for (int i = 0; i < N; i++) sum += out[i];
    memset(out, 0, sizeof out);
    return sum;
}

static void grids_and_ranges(anygpu_error *error) {
    anygpu_launch launch = anygpu_grid(8, 1, 1, 128, 1, 1);
    show("grid", saxpy(&launch, 2.0f, &ax, &ay, &aout, error), error);
    printf("sum %.1f\n", total());
    launch = anygpu_grid(11, 1, 1, 99, 1, 1);
    show("line", saxpy(&launch, 2.0f, &ax, &ay, &aout, error), error);
    printf("sum %.1f\n", total());
    launch = anygpu_range(1, &n);
    show("range", saxpy(&launch, 2.0f, &ax, &ay, &aout, error), error);
    printf("sum %.1f\n", total());

    part parts[3];
    pthread_t threads[3];
    int64_t blocks = anygpu_blocks(&launch);
    for (int k = 0; k < 3; k++) {
        parts[k].launch = launch;
        parts[k].launch.begin = blocks * k / 3;
        parts[k].launch.end = blocks * (k + 1) / 3;
        pthread_create(&threads[k], NULL, run_part, &parts[k]);
    }
    for (int k = 0; k < 3; k++) pthread_join(threads[k], NULL);
    printf("threads: %d %d %d of %lld blocks, sum %.1f\n", (int)parts[0].code, (int)parts[1].code, (int)parts[2].code, (long long)blocks,
           total());
    launch.begin = launch.end = 2;
    show("no blocks", saxpy(&launch, 2.0f, &ax, &ay, &aout, error), error);
    printf("sum %.1f\n", total());
}

static void other_arguments(anygpu_error *error) {
    static float image[6][8], result[6][4];
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 8; j++) image[i][j] = (float)(10 * i + j);
    int64_t shape[2] = {6, 4}, strides[2] = {sizeof image[0], 2 * sizeof(float)}, range[2] = {4, 6};
    anygpu_array strided = {image, shape, strides}, packed = {result, shape, NULL};
    anygpu_launch launch = anygpu_range(2, range);
    show("strided", stencil(&launch, &strided, &packed, error), error);
    printf("%.2f %.2f\n", result[1][1], result[4][2]);

    double values[5] = {0, 1, 2, 3, 4};
    int64_t five = 5;
    anygpu_array doubles = {values, &five, NULL};
    launch = anygpu_range(1, &five);
    show("structure", pull(&launch, 1.5f, 2.0f, 0.25f, 0.125, &doubles, error), error);
    printf("%.6f\n", values[4]);

    double complexes[4] = {0};
    int64_t two = 2;
    anygpu_array out2 = {complexes, &two, NULL};
    launch = anygpu_range(1, &two);
    show("scalars", mixed(&launch, true, 0x3800, 0x4040, 1.0f, -2.0f, 200, -7, &out2, error), error);  /* half 0.5, bfloat16 3 */
    printf("%.2f %.2f\n", complexes[2], complexes[3]);
    show("scalars", mixed(&launch, false, 0, 0, 0, 0, 200, INT64_C(1) << 40, &out2, error), error);
    printf("%.0f %.0f\n", complexes[2], complexes[3]);
}

static void shared_memory_and_barriers(anygpu_error *error) {
    static int32_t numbers[128];
    static int64_t wide[192], wide_out[192];
    static float dynamic[96];
    for (int i = 0; i < 192; i++) wide[i] = i;
    for (int i = 0; i < 128; i++) numbers[i] = i;
    for (int i = 0; i < 96; i++) dynamic[i] = (float)i;
    int64_t a = 128, b = 192, c = 96;
    anygpu_array array = {numbers, &a, NULL}, array64 = {wide, &b, NULL}, array64_out = {wide_out, &b, NULL}, floats = {dynamic, &c, NULL};

    anygpu_launch launch = anygpu_grid(2, 1, 1, 64, 1, 1);
    show("shared", reverse(&launch, &array, error), error);
    printf("%d %d\n", numbers[0], numbers[64]);
    launch = anygpu_grid(2, 1, 1, 48, 1, 1);
    launch.shared_bytes = 48 * sizeof(float);
    show("dynamic", rotate(&launch, &floats, error), error);
    printf("%.0f %.0f\n", dynamic[0], dynamic[47]);
    launch.shared_bytes = 1 << 30;
    show("too much", rotate(&launch, &floats, error), error);
    launch.shared_bytes = 4;
    show("too little", rotate(&launch, &floats, error), error);
    launch = anygpu_grid(2, 1, 1, 96, 1, 1);
    show("coroutine", uneven(&launch, &array64, error), error);
    printf("%lld %lld\n", (long long)wide[0], (long long)wide[95]);
    launch = anygpu_grid(6, 1, 1, 32, 1, 1);
    show("whole grid", across(&launch, &array64, &array64_out, error), error);
    printf("%d\n", wide_out[0] == wide[191]);
    launch.end = 3;
    show("part of it", across(&launch, &array64, &array64_out, error), error);
}

static void what_goes_wrong(anygpu_error *error) {
    anygpu_launch launch = anygpu_range(1, &n);
    show("beyond", beyond(&launch, &ax, &aout, error), error);
    show("nobody asks", beyond(&launch, &ax, &aout, NULL), error);
    static int32_t numbers[N];
    for (int i = 0; i < N; i++) numbers[i] = i;
    anygpu_array ints = {numbers, &n, NULL};
    show("assert", asserts(&launch, &ints, error), error);
    show("print", says(&launch, &ints, error), error);

    int64_t strides = 8, few = 10, negative = -1;
    anygpu_array strided = {x, &few, &strides}, astray = {(char *)x + 1, &few, NULL}, nowhere = {NULL, &n, NULL}, bad = {x, &negative, NULL};
    anygpu_array shapeless = {x, NULL, NULL};
    show("strided", saxpy(&launch, 1.0f, &strided, &ay, &aout, error), error);
    show("misaligned", saxpy(&launch, 1.0f, &ax, &astray, &aout, error), error);
    show("no data", saxpy(&launch, 1.0f, &ax, &ay, &nowhere, error), error);
    show("negative", saxpy(&launch, 1.0f, &bad, &ay, &aout, error), error);
    show("no shape", saxpy(&launch, 1.0f, &shapeless, &ay, &aout, error), error);
    show("no array", saxpy(&launch, 1.0f, NULL, &ay, &aout, error), error);
    int64_t plane[2] = {10, 10};
    anygpu_launch other = anygpu_range(2, plane);
    show("two axes", saxpy(&other, 1.0f, &ax, &ay, &aout, error), error);
    show("no launch", saxpy(NULL, 1.0f, &ax, &ay, &aout, error), error);
    other = anygpu_grid(1, 1, 1, 2048, 1, 1);
    show("large block", saxpy(&other, 1.0f, &ax, &ay, &aout, error), error);
    other = anygpu_grid(1, 1, 1, 0, 1, 1);
    show("empty block", saxpy(&other, 1.0f, &ax, &ay, &aout, error), error);
    other = anygpu_grid(INT64_C(1) << 40, INT64_C(1) << 40, 1, 1, 1, 1);
    show("large grid", saxpy(&other, 1.0f, &ax, &ay, &aout, error), error);
    other = anygpu_grid(0, 1, 1, 32, 1, 1);
    show("empty grid", saxpy(&other, 1.0f, &ax, &ay, &aout, error), error);
}

int main(void) {
    anygpu_error error;
    for (int i = 0; i < N; i++) x[i] = (float)i, y[i] = 1;
    grids_and_ranges(&error);
    other_arguments(&error);
    shared_memory_and_barriers(&error);
    what_goes_wrong(&error);
    return 0;
}
