/* The stopping rule of aoi on an embedded processor: integers only, no heap, no library. */
#ifndef AOI_MONITOR_H
#define AOI_MONITOR_H

#include <stdint.h>

/* Scores are the accumulated readout of each output (spike counts, or voltages in state units), AOI_OUTPUTS of them. */

/* 1 if the run may stop at output step `step` (1, 2, ...), otherwise 0. */
int aoi_monitor_stops(const int64_t *scores, uint32_t step);

/* The answer: the output with the largest score, the first of equals. */
uint32_t aoi_monitor_answer(const int64_t *scores);

#endif
