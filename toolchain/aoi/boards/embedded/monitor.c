/* Decides as toolchain/aoi/cutoff/integer.py does, bit by bit. monitor_tables.h is generated from a network file. */
#include "monitor.h"

#include "monitor_tables.h"

uint32_t aoi_monitor_answer(const int64_t *scores)
{
    uint32_t best = 0;
    for (uint32_t k = 1; k < AOI_OUTPUTS; k++) {
        if (scores[k] > scores[best]) {
            best = k;
        }
    }
    return best;
}

/* a - b where a >= b: exact for any two, since unsigned numbers wrap. */
static uint64_t distance(int64_t a, int64_t b)
{
    return (uint64_t)a - (uint64_t)b;
}

#if AOI_RULE == AOI_CONFIDENCE

int aoi_monitor_stops(const int64_t *scores, uint32_t step)
{
    const int64_t peak = scores[aoi_monitor_answer(scores)];
    uint64_t total = 0;
    (void)step;
    for (uint32_t k = 0; k < AOI_OUTPUTS; k++) {
        const uint64_t place = distance(peak, scores[k]) >> AOI_SHIFT;
        total += place < AOI_TABLE_LENGTH ? aoi_table[place] : 1u;
    }
    return total <= AOI_TOTAL_MOST;
}

#else

int aoi_monitor_stops(const int64_t *scores, uint32_t step)
{
    const uint32_t best = aoi_monitor_answer(scores);
    uint64_t gap = UINT64_MAX;
    const uint32_t row = step < AOI_TABLE_LENGTH ? step : AOI_TABLE_LENGTH;
    for (uint32_t k = 0; k < AOI_OUTPUTS; k++) {
        if (k != best && distance(scores[best], scores[k]) < gap) {
            gap = distance(scores[best], scores[k]);
        }
    }
    return gap >= aoi_table[row > 0 ? row - 1 : 0];
}

#endif
