#include "zipf.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

struct column {
    uint32_t threshold; /* of 2^32; below it the column's own object, else the alias */
    uint32_t alias;
};

struct zipf {
    uint32_t n;
    struct column columns[];
};

/* Popularities in units of the average one. */
static double *popularities(uint32_t n, double exponent)
{
    double *popularity = calloc(n, sizeof(double));
    double sum = 0;
    assert(popularity != NULL);
    for (uint32_t i = 0; i < n; i++)
        sum += popularity[i] = pow((double)i + 1, -exponent);
    for (uint32_t i = 0; i < n; i++)
        popularity[i] *= (double)n / sum;
    return popularity;
}

/* Of 2^32, in units of a full column; rounding may leave more than that. */
static uint32_t threshold_of(double fill)
{
    return fill < 1 ? (uint32_t)(fill * 0x1p32) : UINT32_MAX;
}

/* Popularities fall, so those above average come first. Each of them fills up columns of small ones
 * from the end until it is small itself; then the next one fills its column. */
struct zipf *zipf_new(uint32_t n, double exponent)
{
    struct zipf *zipf = malloc(sizeof(struct zipf) + n * sizeof(struct column));
    double *left = popularities(n, exponent);
    assert(zipf != NULL);
    zipf->n = n;
    for (uint32_t i = 0; i < n; i++)
        zipf->columns[i] = (struct column){UINT32_MAX, i};
    uint32_t large = 0, last = n - 1, small = last;
    while (large < last) {
        zipf->columns[small] = (struct column){threshold_of(left[small]), large};
        left[large] -= 1 - left[small];
        small = left[large] < 1 ? large++ : --last;
    }
    free(left);
    return zipf;
}

void zipf_free(struct zipf *zipf)
{
    free(zipf);
}

uint32_t zipf_draw(const struct zipf *zipf, struct draws *draws)
{
    uint64_t bits = draw_bits(draws);
    uint32_t i = (uint32_t)((bits >> 32) * zipf->n >> 32);
    const struct column *column = &zipf->columns[i];
    return (uint32_t)bits < column->threshold ? i : column->alias;
}
